// Tables: sorting by a column, and the two filters (words of a task's title; models).
"use strict";

// "99.96 ± 0.10" -> 99.96; "1,024" -> 1024; "—" -> nothing; other text stays text.
function sortValue(cell) {
  const text = cell.textContent.trim();
  if (text === "—" || text === "·") return null;
  const number = /^[-+]?[\d,]*\.?\d+/.exec(text.replace(/^n = /, ""));
  return number ? parseFloat(number[0].replaceAll(",", "")) : text.toLowerCase();
}

function compareValues(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
  return typeof a === "number" ? 1 : -1;
}

// Numbers fall at the first press, text rises; the next press turns the order round. What is missing stays last.
function sortBy(table, column) {
  const head = table.tHead.rows[0].cells[column];
  const rows = [...table.tBodies[0].rows];
  const values = new Map(rows.map((row) => [row, sortValue(row.cells[column])]));
  const numeric = rows.some((row) => typeof values.get(row) === "number");
  const before = head.getAttribute("aria-sort");
  const falling = before ? before === "ascending" : numeric;
  for (const cell of head.parentNode.cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  rows.sort((a, b) => {
    const [x, y] = [values.get(a), values.get(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return falling ? -compareValues(x, y) : compareValues(x, y);
  });
  table.tBodies[0].append(...rows);
}

function makeSortable(table) {
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    head.append(button);
  }
}

// Hides sections and lines of the overview whose title lacks a word, and all that belongs to a model that is off.
function applyFilters(words, hidden) {
  let shown = 0;
  const fits = (text) => words.every((word) => text.toLowerCase().includes(word));
  for (const section of document.querySelectorAll("section.task")) {
    section.hidden = !fits(section.dataset.title);
    shown += !section.hidden;
  }
  for (const head of document.querySelectorAll("main > .table th[scope=row]")) head.parentNode.hidden = !fits(head.textContent);
  for (const part of document.querySelectorAll("tr[data-model], th[data-model], td[data-model]")) {
    part.hidden = hidden.has(part.dataset.model);
  }
  return shown;
}
