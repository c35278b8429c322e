// Puts the page together: sortable tables, the two filters, and every figure drawn for the width at hand.
"use strict";

const DRAW = { lengths: drawLengths, rows: drawRows, curves: drawCurves, costs: drawCosts, scatter: drawScatter };
const hiddenModels = new Set();

function legend(spec) {
  const names = new Map();
  for (const one of spec.series ?? spec.lines ?? spec.points) {
    if (!hiddenModels.has(one.model)) names.set(one.model, one.model);
  }
  const list = Object.assign(document.createElement("div"), { className: "legend" });
  for (const model of names.keys()) {
    const entry = document.createElement("span");
    entry.append(shapeIcon(model), model);
    list.append(entry);
  }
  return list;
}

function drawFigure(figure, width) {
  const holder = figure.querySelector(".drawing");
  holder.replaceChildren();
  figure.querySelector(".legend").replaceWith(legend(figure.spec));
  DRAW[figure.spec.kind](holder, figure.spec, hiddenModels, width);
  for (const svg of holder.querySelectorAll("svg")) walkByKeys(svg);
}

function makeFigures() {
  for (const place of document.querySelectorAll(".figures")) {
    for (const spec of values.figures[place.dataset.name] ?? []) {
      const figure = Object.assign(document.createElement("figure"), { spec });
      const caption = Object.assign(document.createElement("figcaption"), { textContent: spec.title });
      const drawing = Object.assign(document.createElement("div"), { className: "drawing" });
      const keys = Object.assign(document.createElement("div"), { className: "legend" });
      figure.append(caption, drawing, keys);
      place.append(figure);
    }
  }
}

// All widths are read before the first figure is drawn: else the browser lays the page out anew for each.
function drawAll() {
  const shown = [...document.querySelectorAll("figure")].filter((figure) => !figure.closest("[hidden]"));
  const widths = shown.map((figure) => Math.max(280, figure.clientWidth));
  shown.forEach((figure, k) => drawFigure(figure, widths[k]));
}

function filterNow() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = applyFilters(words, hiddenModels);
  const all = document.querySelectorAll("section.task").length;
  document.getElementById("count").textContent = shown === all ? "" : `${shown} of ${all} tables`;
  hideTip();
  drawAll();
}

function modelButtons() {
  const group = document.getElementById("models");
  for (const model of Object.keys(values.looks)) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.setAttribute("aria-pressed", "true");
    button.dataset.model = model;
    button.append(shapeIcon(model), model);
    button.addEventListener("click", () => {
      const off = hiddenModels.delete(model) ? false : Boolean(hiddenModels.add(model));
      button.setAttribute("aria-pressed", String(!off));
      filterNow();
    });
    group.append(button);
  }
}

for (const table of document.querySelectorAll("table")) makeSortable(table);
modelButtons();
makeFigures();
document.getElementById("filter").addEventListener("input", filterNow);
document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
filterNow();
document.addEventListener("pointerdown", (event) => event.target.closest(".mark") || hideTip());
document.addEventListener("scroll", placeTip, { passive: true });
// A phone that is turned, a window that is pulled: figures are drawn anew for their width.
let waiting = 0;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(drawAll, 150);
});
document.documentElement.dataset.ready = "yes";
