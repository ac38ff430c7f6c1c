"use strict";

/** Number at the beginning of a cell's text, or NaN. */
function numberOf(text) {
  const found = /^[+-]?(\d[\d.]*)(e[+-]?\d+)?/i.exec(text.trim());
  return found ? Number(found[0]) : NaN;
}

/** Sort a table by one of its columns; the same column again turns the order. */
function sortBy(table, column) {
  const heading = table.tHead.rows[0].cells;
  const down = heading[column].getAttribute("aria-sort") === "ascending";
  for (const cell of heading) cell.removeAttribute("aria-sort");
  heading[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: row.cells[column]?.textContent ?? "" }));
  const compare = (a, b) => {
    const [x, y] = [numberOf(a.text), numberOf(b.text)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.text.localeCompare(b.text) : x - y;
  };
  rows.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
  body.append(...rows.map((each) => each.row));
}

/** Arrow keys step through the points of a figure; its label stands in the caption. */
function stepThrough(figure, event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const points = figure.querySelectorAll(".point, .bar, .curve");
  if (!step || !points.length || event.target !== figure) return;
  event.preventDefault();
  const now = Number(figure.dataset.at ?? (step > 0 ? -1 : 0));
  show(figure, points, (now + step + points.length) % points.length);
}

function show(figure, points, at) {
  figure.querySelector(".chosen")?.classList.remove("chosen");
  figure.dataset.at = at;
  points[at].classList.add("chosen");
  figure.querySelector("output").textContent = points[at].querySelector("title").textContent;
}

for (const table of document.querySelectorAll("table")) {
  [...(table.tHead?.rows[0].cells ?? [])].forEach((cell, column) =>
    cell.querySelector("button")?.addEventListener("click", () => sortBy(table, column)));
}
for (const figure of document.querySelectorAll("figure[tabindex]")) {
  figure.addEventListener("keydown", (event) => stepThrough(figure, event));
  figure.addEventListener("mouseover", (event) => {
    const points = [...figure.querySelectorAll(".point, .bar, .curve")];
    if (points.includes(event.target)) show(figure, points, points.indexOf(event.target));
  });
}
