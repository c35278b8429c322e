// Marks of the figures: a model's colour and shape, the note that follows the pointer, and the walk by arrow keys.
"use strict";

const polygon = (corners) => ({
  draw(context, size) {
    const radius = Math.sqrt(size / (0.5 * corners * Math.sin((2 * Math.PI) / corners)));
    for (let k = 0; k < corners; k++) {
      const angle = (2 * Math.PI * k) / corners - Math.PI / 2;
      context[k ? "lineTo" : "moveTo"](radius * Math.cos(angle), radius * Math.sin(angle));
    }
    context.closePath();
  },
});

// matplotlib's letters, so that a model looks the same here and in figures/*.png: shape and turn in degrees
const SHAPES = {
  o: [d3.symbolCircle, 0], s: [d3.symbolSquare, 0], D: [d3.symbolSquare, 45], "*": [d3.symbolStar, 0],
  "^": [d3.symbolTriangle, 0], v: [d3.symbolTriangle, 180], "<": [d3.symbolTriangle, -90], ">": [d3.symbolTriangle, 90],
  P: [d3.symbolCross, 0], X: [d3.symbolCross, 45], p: [polygon(5), 0], h: [polygon(6), 0],
};

const values = JSON.parse(document.getElementById("values").textContent);
const colourOf = (model) => values.looks[model][0];

function drawShape(parent, model, size, filled = true) {
  const [colour, marker] = values.looks[model];
  const [shape, turn] = SHAPES[marker];
  return parent
    .append("path")
    .attr("d", d3.symbol(shape, size)())
    .attr("transform", `rotate(${turn})`)
    .attr("fill", filled ? colour : "var(--paper)")
    .attr("stroke", colour)
    .attr("stroke-width", 1.5);
}

// A shape of its own for HTML: beside names in the filter and in legends.
function shapeIcon(model) {
  const icon = d3.create("svg").attr("class", "icon").attr("viewBox", "-8 -8 16 16").attr("aria-hidden", "true");
  drawShape(icon, model, 70);
  return icon.node();
}

// A place in a figure that tells something: a link if there is a record behind it.
function addMark(svg, x, y, { model, text, link }) {
  const mark = svg
    .append("a")
    .attr("class", "mark")
    .attr("tabindex", -1)
    .attr("aria-label", text)
    .attr("data-model", model)
    .attr("transform", `translate(${x},${y})`);
  if (link) mark.attr("href", link);
  mark.append("circle").attr("r", 9).attr("class", "target");
  mark.on("pointerenter focus", (event) => {
    if (event.type === "pointerenter") toldBefore = told === mark.node();
    showTip(mark.node(), text, link);
  });
  mark.on("pointerleave blur", (event) => event.pointerType === "touch" || hideTip());
  // A finger cannot hover: its first tap tells, the second opens the record.
  mark.on("click", (event) => {
    if (event.pointerType === "touch" && !toldBefore) event.preventDefault();
  });
  return mark;
}

let told = null; // the mark whose note is shown
let toldBefore = false; // whether it was shown before the finger came down

function showTip(node, text, link) {
  told = node;
  const tip = document.getElementById("tip");
  tip.replaceChildren(...text.split("\n").map((line) => Object.assign(document.createElement("div"), { textContent: line })));
  if (link) tip.append(Object.assign(document.createElement("div"), { className: "link", textContent: link }));
  tip.hidden = false;
  placeTip();
}

// Above its mark, or below where there is no room.
function placeTip() {
  if (!told) return;
  const tip = document.getElementById("tip");
  const place = told.getBoundingClientRect();
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const left = Math.min(Math.max(4, place.x + place.width / 2 - width / 2), document.documentElement.clientWidth - width - 4);
  tip.style.left = `${left}px`;
  tip.style.top = `${place.y > height + 12 ? place.y - height - 8 : place.bottom + 8}px`;
}

function hideTip() {
  told = null;
  document.getElementById("tip").hidden = true;
}

// The figure is one stop of the Tab key; inside it the arrow keys walk from mark to mark, Escape goes back.
function walkByKeys(svg) {
  svg.addEventListener("keydown", (event) => {
    const marks = [...svg.querySelectorAll(".mark")].filter((mark) => mark.getAttribute("display") !== "none");
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") svg.focus();
    if (!step || !marks.length) return;
    event.preventDefault();
    const at = marks.indexOf(document.activeElement);
    marks[at < 0 ? (step > 0 ? 0 : marks.length - 1) : (at + step + marks.length) % marks.length].focus();
  });
}
