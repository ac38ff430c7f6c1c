/** Draws outlines of objects and crops over the view, in a 2-D canvas. */

import { transposed, turned } from "./rotation.js";

const COLOURS = { object: "#ffd84d", crop: "#6ee7ff" };
/** Points on each side of an outline. */
const POINTS = 12;
/** Least distance in front of the view at which points are drawn. */
const NEAREST = 0.05;

/** Directions along the border of a camera's view, closed. */
export function borderOf({ camera, half: [x, y] }) {
  const corners = [[1, 1], [-1, 1], [-1, -1], [1, -1], [1, 1]];
  const found = [];
  for (let side = 0; side < 4; side++)
    for (let step = 0; step < POINTS; step++) {
      const [left, up] = [0, 1].map((axis) =>
        corners[side][axis] + (corners[side + 1][axis] - corners[side][axis]) * (step / POINTS));
      found.push(turned(camera, [1, left * x, up * y]));
    }
  return [...found, found[0]];
}

/** Outlines of a film, of which segments are asked for as the film goes on. */
export class Outlines {
  constructor(canvas, film, source) {
    Object.assign(this, { canvas, film, source, opacity: 0.9, asked: 0 });
    this.segments = new Map();
    this.shown = new Set();
    this.onFault = () => {};
  }

  /** Show or hide a kind: object or crop. */
  toggle(kind, on) { this.shown[on ? "add" : "delete"](kind); }

  /** Draw the outlines of a time in seconds in a view. */
  draw(seconds, view, field) {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const brush = canvas.getContext("2d");
    brush.clearRect(0, 0, width, height);
    if (this.shown.size === 0) return;
    brush.globalAlpha = this.opacity;
    const scale = height / 2 / Math.tan(field / 2);
    const project = ([x, y, z]) => (x > NEAREST ? [width / 2 - (y / x) * scale, height / 2 - (z / x) * scale] : null);
    for (const each of this.#at(seconds)) this.#stroke(brush, each, transposed(view), project);
  }

  /** Outlines that are shown at a time. */
  #at(seconds) {
    const index = Math.floor(seconds / this.film.outlineSeconds);
    if (!this.segments.has(index)) this.#ask(index);
    return this.segments.get(index).filter(
      (each) => this.shown.has(each.kind) && each.begin <= seconds && seconds < each.end);
  }

  async #ask(index) {
    for (const other of this.segments.keys()) if (Math.abs(other - index) > 1) this.segments.delete(other);
    this.segments.set(index, []);
    try {
      this.segments.set(index, await this.source.outlines(index));
      this.asked++;
    } catch (error) {
      this.onFault(error);
    }
  }

  #stroke(brush, outline, toView, project) {
    const points = borderOf(outline).map((direction) => project(turned(toView, direction)));
    brush.strokeStyle = brush.fillStyle = COLOURS[outline.kind];
    brush.lineWidth = 2;
    brush.beginPath();
    points.forEach((point, index) => {
      if (point) brush[index && points[index - 1] ? "lineTo" : "moveTo"](...point);
    });
    brush.stroke();
    brush.font = "14px system-ui, sans-serif";
    if (points[0]) brush.fillText(outline.label, points[0][0] + 3, points[0][1] - 5);
  }
}
