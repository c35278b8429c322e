// Figures: accuracy against length or beside the floors, learning curves, accuracy against a cost.
"use strict";

const number = d3.format(",.6~r");

// Empty axes, so many pixels wide. x and y are D3 scales without a range.
function axes(holder, spec, { width, height, left = 46, right = 16, x, y, ticks }) {
  const [top, bottom] = [12, 44];
  x.range([left, width - right]);
  y.range([height - bottom, top]);
  const svg = d3.select(holder).append("svg").attr("viewBox", [0, 0, width, height]).attr("tabindex", 0);
  svg.attr("role", "group").attr("aria-label", `${spec.title}: ${spec.y} against ${spec.x}`);
  const xAxis = d3.axisBottom(x).tickSizeOuter(0).tickSizeInner(-(height - top - bottom)).tickPadding(8);
  if (ticks) xAxis.tickValues(ticks.map((tick) => tick[0])).tickFormat((_, k) => ticks[k][1]);
  else xAxis.ticks(Math.min(7, Math.max(3, Math.floor(width / 95)))).tickFormat(number);
  svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height - bottom})`).call(xAxis);
  const label = (text) => svg.append("text").attr("class", "label").text(text);
  label(spec.x).attr("x", (left + width - right) / 2).attr("y", height - 6).attr("text-anchor", "middle");
  if (y.bandwidth) return { svg, width, top, bottom, left, right, height };
  const yAxis = d3.axisLeft(y).ticks(5, number).tickSizeOuter(0).tickSizeInner(-(width - left - right)).tickPadding(6);
  svg.append("g").attr("class", "axis").attr("transform", `translate(${left},0)`).call(yAxis);
  label(spec.y).attr("transform", `translate(12,${(top + height - bottom) / 2}) rotate(-90)`).attr("text-anchor", "middle");
  return { svg, width, top, bottom, left, right, height };
}

const onlyShown = (list, hidden) => list.filter((entry) => !hidden.has(entry.model));
const padded = (low, high) => [Math.max(0, low - 0.08 * (high - low) - 0.5), Math.min(103, high + 0.08 * (high - low) + 0.5)];

function interval(svg, model, x1, y1, x2, y2) {
  const line = svg.append("line").attr("class", "interval").attr("stroke", colourOf(model));
  line.attr("x1", x1).attr("y1", y1).attr("x2", x2).attr("y2", y2);
}

// A mean and its seeds, each with what it is and where its record lies; at(value) is a place on the page.
function meanAndSeeds(svg, series, point, at) {
  for (const [seed, value, link] of point.seeds) {
    const text = `${series.label}, seed ${seed}: ${value.toFixed(2)} %${point.at}\n${point.config}`;
    const mark = addMark(svg, ...at(value), { model: series.model, text, link });
    mark.append("circle").attr("r", 2.6).attr("class", "seed").attr("fill", colourOf(series.model));
  }
  const folder = point.seeds[0][2].replace(/\/[^/]*$/, "");
  const mark = addMark(svg, ...at(point.y), { model: series.model, text: `${series.label}: ${point.note}\n${point.config}`, link: folder });
  drawShape(mark, series.model, 52);
}

function floorLines(area, floors, place, vertical) {
  for (const [name, value] of floors) {
    const line = area.svg.append("line").attr("class", "floor");
    const text = area.svg.append("text").attr("class", "note").text(`${name} ${value.toFixed(1)} %`);
    if (vertical) {
      line.attr("x1", place(value)).attr("x2", place(value)).attr("y1", area.top).attr("y2", area.height - area.bottom);
      text.attr("transform", `translate(${place(value) + 4},${area.height - area.bottom - 4}) rotate(-90)`);
    } else {
      line.attr("y1", place(value)).attr("y2", place(value)).attr("x1", area.left).attr("x2", area.width - area.right);
      text.attr("x", area.width - area.right).attr("y", place(value) - 4).attr("text-anchor", "end");
    }
  }
}

// The lengths with their names where there is room for one: that of the trained length first, then the longest.
function tickNames(lengths, trained, place) {
  const names = new Map();
  for (const length of [trained, ...lengths.toReversed()]) {
    const name = d3.format(",")(length) + (length === trained ? " (trained)" : "");
    const free = [...names].every(([other, text]) => Math.abs(place(length) - place(other)) > 3.4 * (name.length + text.length) + 8);
    if (free) names.set(length, name);
  }
  return lengths.map((length) => [length, names.get(length) ?? ""]);
}

// Where a length stands on a logarithmic axis: 0, which has no logarithm, left of the others.
function placeOf(lengths) {
  const shortest = lengths.find((length) => length > 0);
  return (length) => length || shortest / 8;
}

// Accuracy against length. Rows stand a little side by side, so that equal results stay visible.
function drawLengths(holder, spec, hidden, width) {
  const series = onlyShown(spec.series, hidden);
  const lengths = [...new Set(spec.series.flatMap((s) => s.points.map((p) => p.x)))].sort(d3.ascending);
  const at = placeOf(lengths);
  const x = d3.scaleLog([at(lengths[0]) / 1.6, at(lengths.at(-1)) * 1.6], [0, 1]);
  const y = d3.scaleLinear([-3, 103], [0, 1]);
  const room = width - 62;
  const ticks = tickNames(lengths, spec.trained, (length) => x(at(length)) * room).map(([length, name]) => [at(length), name]);
  const area = axes(holder, spec, { width, height: 330, x, y, ticks });
  const closest = d3.min(d3.pairs(lengths.map((length) => x(at(length)))), ([a, b]) => b - a) ?? 40;
  const apart = Math.min(5, (0.6 * closest) / Math.max(1, series.length));
  area.svg.append("line").attr("class", "trained").attr("x1", x(spec.trained)).attr("x2", x(spec.trained)).attr("y1", area.top).attr("y2", area.height - area.bottom);
  floorLines(area, spec.floors.slice(-1), y, false);
  for (const [k, one] of series.entries()) {
    const place = (point) => x(at(point.x)) + apart * (k - (series.length - 1) / 2);
    const line = d3.line(place, (point) => y(point.y));
    area.svg.append("path").attr("class", "line").attr("stroke", colourOf(one.model)).attr("d", line(one.points));
    for (const point of one.points) {
      interval(area.svg, one.model, place(point), y(point.low), place(point), y(point.high));
      meanAndSeeds(area.svg, one, point, (value) => [place(point), y(value)]);
    }
  }
}

function drawRows(holder, spec, hidden, width) {
  const series = onlyShown(spec.series, hidden).filter((one) => one.points.length);
  const reach = [...series.map((one) => one.points[0].high), ...spec.floors.map((floor) => floor[1])];
  const x = d3.scaleLinear([0, Math.min(100, d3.max(reach, (value) => value + 4) ?? 100)], [0, 1]);
  const y = d3.scaleBand(series.map((one) => one.label).toReversed(), [0, 1]);
  const left = 14 + 6.6 * d3.max(series, (one) => one.label.length);
  const about = { ...spec, x: spec.y };
  const area = axes(holder, about, { width, height: 70 + 34 * series.length, left, x, y });
  floorLines(area, spec.floors, x, true);
  for (const one of series) {
    const middle = y(one.label) + y.bandwidth() / 2;
    area.svg.append("text").attr("class", "name").attr("x", left - 8).attr("y", middle + 4).attr("text-anchor", "end").text(one.label);
    interval(area.svg, one.model, x(one.points[0].low), middle, x(one.points[0].high), middle);
    meanAndSeeds(area.svg, one, one.points[0], (value) => [x(value), middle]);
  }
}

function drawCurves(holder, spec, hidden, width) {
  const lines = onlyShown(spec.lines, hidden);
  const all = spec.lines.flatMap((line) => line.points);
  const x = d3.scaleLinear([0, d3.max(all, (p) => p[0])], [0, 1]);
  const y = d3.scaleLinear(padded(...d3.extent(all, (p) => p[1])), [0, 1]);
  const { svg } = axes(holder, spec, { width, height: 300, x, y });
  for (const line of lines) {
    svg.append("path").attr("class", "line thin").attr("stroke", colourOf(line.model)).attr("d", d3.line((p) => x(p[0]), (p) => y(p[1]))(line.points));
    const [step, value] = line.points.at(-1);
    const mark = addMark(svg, x(step), y(value), { model: line.model, text: `${line.label}: ${value.toFixed(2)} % after ${number(step)} steps`, link: line.link });
    drawShape(mark, line.model, 40);
  }
}

// Filled and joined: what no other row beats in both. Hollow: what another beats.
function drawScatter(holder, spec, hidden, width) {
  const points = onlyShown(spec.points, hidden);
  const x = d3.scaleLinear([0, 1.08 * d3.max(spec.points, (p) => p.x)], [0, 1]); // from 0: a cost is a ratio
  const y = d3.scaleLinear(padded(...d3.extent(spec.points, (p) => p.y)), [0, 1]);
  const { svg } = axes(holder, spec, { width, height: 300, left: 52, x, y });
  const front = points.filter((point) => point.front).sort((a, b) => a.x - b.x);
  svg.append("path").attr("class", "front").attr("d", d3.line((p) => x(p.x), (p) => y(p.y))(front));
  for (const point of points) {
    const mark = addMark(svg, x(point.x), y(point.y), { model: point.model, text: point.label, link: point.link });
    drawShape(mark, point.model, 80, point.front);
  }
}

// Speed or memory against length; on logarithmic axes a power is a straight line, above 0 what is flat looks flat.
function drawCosts(holder, spec, hidden, width) {
  const all = spec.series.flatMap((one) => one.points);
  const lengths = [...new Set(all.map((point) => point[0]))].sort(d3.ascending);
  const [low, high] = d3.extent(all, (point) => point[1]);
  const at = placeOf(lengths);
  const x = d3.scaleLog([at(lengths[0]) / 1.2, at(lengths.at(-1)) * 1.2], [0, 1]);
  const y = spec.from_zero ? d3.scaleLinear([0, high * 1.1], [0, 1]) : d3.scaleLog([low / 1.3, high * 1.3], [0, 1]);
  const { svg } = axes(holder, spec, { width, height: 320, left: 66, x, y, ticks: lengths.map((length) => [at(length), number(length)]) });
  for (const one of onlyShown(spec.series, hidden)) {
    const line = d3.line((point) => x(at(point[0])), (point) => y(point[1]));
    svg.append("path").attr("class", "line").attr("stroke", colourOf(one.model)).attr("d", line(one.points));
    for (const [length, value] of one.points) {
      const text = `${one.model}: ${number(value)} at L = ${number(length)}`;
      drawShape(addMark(svg, x(at(length)), y(value), { model: one.model, text }), one.model, 52);
    }
  }
}
