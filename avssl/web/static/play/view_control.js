/** View direction by pointer (mouse, pen, touch), wheel and keys. */

import { STEEPEST, rotationMatrix } from "./rotation.js";

const DEGREE = Math.PI / 180;
/** Vertical field of view, radians: least, most, at first. */
const FIELD = { least: 25 * DEGREE, most: 110 * DEGREE, first: 70 * DEGREE };
/** Turn of an arrow key, radians. */
const STEP = 5 * DEGREE;
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** Yaw, pitch, roll and field of view of a canvas; drags move the film with the pointer. */
export class ViewControl {
  /** @param {HTMLCanvasElement} canvas @param {Function} changed called after each change */
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, yaw: 0, pitch: 0, roll: 0, field: FIELD.first });
    this.pointers = new Map();
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Axes of the view as columns. */
  get matrix() { return rotationMatrix(this.yaw, this.pitch, this.roll); }

  /** Look in a direction, radians. */
  look(yaw, pitch, roll = 0) {
    this.yaw = Math.atan2(Math.sin(yaw), Math.cos(yaw));
    this.pitch = Math.max(-STEEPEST, Math.min(STEEPEST, pitch));
    this.roll = roll;
    this.changed();
  }

  /** Multiply the field of view. */
  zoom(factor) {
    this.field = Math.max(FIELD.least, Math.min(FIELD.most, this.field * factor));
    this.changed();
  }

  /** Radians of a drag over one pixel of the page. */
  get perPixel() { return this.field / this.canvas.clientHeight; }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const apart = this.#apart();
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.pointers.size === 1) {
      const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
      this.look(this.yaw + dx * this.perPixel, this.pitch + dy * this.perPixel, this.roll);
    } else if (apart) this.zoom(apart / Math.max(1, this.#apart()));
  }

  /** Pixels between two fingers; 0 for one. */
  #apart() {
    const [one, other] = [...this.pointers.values()];
    return other ? Math.hypot(one[0] - other[0], one[1] - other[1]) : 0;
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(event.deltaY * 0.001));
  }

  #key(event) {
    const arrow = ARROWS[event.key];
    if (event.ctrlKey || event.altKey || event.metaKey || !(arrow || "+=-".includes(event.key))) return;
    event.preventDefault();
    if (arrow) this.look(this.yaw + arrow[0] * STEP, this.pitch + arrow[1] * STEP, this.roll);
    else this.zoom(event.key === "-" ? 1.1 : 1 / 1.1);
  }
}
