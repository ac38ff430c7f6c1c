/** Boxes over the film: those of the segments at the playhead, and one that is being drawn by pointer or keys. */

import { tidy } from "./interpolation.js";

const FINE = 0.002; // of the frame, per key
const COARSE = 0.02;

export class BoxLayer {
  /**
   * @param {SVGSVGElement} svg over the film
   * @param {(box: number[]) => void} onDrawn called with the edges of a box that was drawn
   */
  constructor(svg, onDrawn) {
    this.svg = svg;
    this.onDrawn = onDrawn;
    this.draft = null;
    svg.addEventListener("pointerdown", (event) => this.#press(event));
  }

  /** Lay it over the picture: its width over height, in an element that it fills as `object-fit: contain` does. */
  fit(aspect) {
    const { clientWidth: width, clientHeight: height } = this.svg.parentElement;
    const wide = Math.min(width, height * aspect);
    const high = wide / aspect;
    Object.assign(this.svg.style, {
      width: `${wide}px`, height: `${high}px`, left: `${(width - wide) / 2}px`, top: `${(height - high) / 2}px`,
    });
  }

  /**
   * Draw boxes.
   * @param {{box: number[], selected: boolean, between: boolean}[]} boxes at the playhead
   */
  show(boxes) {
    this.svg.replaceChildren(
      ...boxes.map((each) => rectangle(each.box, `${each.selected ? "" : "other"} ${each.between ? "between" : ""}`)),
      ...(this.draft ? [rectangle(tidy(this.draft), "drawn")] : []),
    );
  }

  /** Begin to draw by keys, from a box. */
  begin(box) {
    this.draft = [...box];
  }

  /**
   * Change the box that is drawn by a key.
   * @param {KeyboardEvent} event arrows move it, with Shift they move its right and lower edge; with Alt finely
   * @returns {boolean} whether the key changes it
   */
  change(event) {
    const step = event.altKey ? FINE : COARSE;
    const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (across === undefined) return false;
    const [left, top, right, bottom] = this.draft;
    if (event.shiftKey) {
      this.draft = tidy([left, top, Math.max(left, right + across * step), Math.max(top, bottom + down * step)]);
    } else {
      const x = Math.min(1 - right, Math.max(-left, across * step));
      const y = Math.min(1 - bottom, Math.max(-top, down * step));
      this.draft = tidy([left + x, top + y, right + x, bottom + y]);
    }
    return true;
  }

  /** End drawing by keys; the box counts if it is accepted. */
  finish(accept) {
    const drawn = this.draft;
    this.draft = null;
    if (accept && drawn) this.onDrawn(tidy(drawn));
  }

  #place(event) {
    const area = this.svg.getBoundingClientRect();
    return [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
  }

  #press(event) {
    const from = this.#place(event);
    this.svg.setPointerCapture(event.pointerId);
    const move = (next) => {
      this.draft = tidy([...from, ...this.#place(next)]);
      this.svg.querySelector(".drawn")?.remove();
      this.svg.append(rectangle(this.draft, "drawn"));
    };
    this.svg.addEventListener("pointermove", move);
    this.svg.addEventListener("pointerup", (next) => {
      this.svg.removeEventListener("pointermove", move);
      const to = this.#place(next);
      const large = Math.abs(to[0] - from[0]) > 0.005 && Math.abs(to[1] - from[1]) > 0.005;
      this.finish(large);
      if (!large) this.svg.querySelector(".drawn")?.remove();
    }, { once: true });
  }
}

function rectangle([left, top, right, bottom], name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const values = { x: left, y: top, width: right - left, height: bottom - top, class: name.trim() };
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
  return made;
}
