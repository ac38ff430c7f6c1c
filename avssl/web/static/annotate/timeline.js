/** Waveform, spectrogram and segments over time, on one canvas; blocks come from the server as they are needed. */

const WIDEST = 120; // seconds in view, so that few blocks are loaded
const NARROWEST = 1;
const KEPT = 60; // blocks in memory
const HEIGHTS = { ruler: 18, wave: 56, spectrogram: 80, segments: 52 };
const EDGE = 7; // pixels within which an edge is grasped

export class Timeline {
  /**
   * @param {HTMLCanvasElement} canvas where it is drawn
   * @param {{seek: (seconds: number) => void, select: (id: string) => void,
   *   drag: (id: string, edge: string, seconds: number, end: boolean) => void}} actions of the pointer
   */
  constructor(canvas, actions) {
    this.canvas = canvas;
    this.actions = actions;
    this.view = [0, 60];
    this.blocks = new Map();
    this.state = { film: null, time: 0, segments: [], selected: null };
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
  }

  /** Show a film; see `film/N.json`. */
  open(film) {
    this.blocks.clear();
    this.view = [0, Math.min(60, Math.max(film.seconds, NARROWEST))];
    this.state.film = film;
  }

  /** Draw a state: time in seconds, segments, identifier of the selected one. */
  show(time, segments, selected) {
    Object.assign(this.state, { time, segments, selected });
    this.#keepInView(time);
    this.draw();
  }

  /** Show more (above 1) or less time around the playhead. */
  zoom(factor) {
    const { film, time } = this.state;
    const span = Math.min(WIDEST, film.seconds || WIDEST, Math.max(NARROWEST, (this.view[1] - this.view[0]) * factor));
    const start = Math.max(0, Math.min(time - span / 2, film.seconds - span));
    this.view = [start, start + span];
    this.draw();
  }

  /** Draw all. */
  draw() {
    const { film } = this.state;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!film || !width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const paint = this.canvas.getContext("2d");
    paint.scale(ratio, ratio);
    this.colours = new Map();
    this.#drawRuler(paint, width);
    this.#drawSound(paint, width, film);
    this.#drawSegments(paint);
    this.#drawPlayhead(paint, height);
  }

  #x(seconds) {
    return ((seconds - this.view[0]) / (this.view[1] - this.view[0])) * this.canvas.clientWidth;
  }

  #seconds(x) {
    return this.view[0] + (x / this.canvas.clientWidth) * (this.view[1] - this.view[0]);
  }

  #keepInView(time) {
    const span = this.view[1] - this.view[0];
    if (time >= this.view[0] && time <= this.view[1]) return;
    const start = Math.max(0, Math.min(time - 0.1 * span, this.state.film.seconds - span));
    this.view = [start, start + span];
  }

  /** A colour of the style sheet as a canvas takes it, with `light-dark()` resolved. */
  #colour(name) {
    if (!this.colours.has(name)) {
      this.canvas.style.color = `var(${name})`;
      this.colours.set(name, getComputedStyle(this.canvas).color);
    }
    return this.colours.get(name);
  }

  #drawRuler(paint, width) {
    const span = this.view[1] - this.view[0];
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60].find((each) => (each / span) * width > 60) ?? 60;
    paint.fillStyle = this.#colour("--text");
    paint.font = "11px system-ui, sans-serif";
    for (let at = Math.ceil(this.view[0] / step) * step; at <= this.view[1]; at += step) {
      paint.fillRect(this.#x(at), 12, 1, 6);
      paint.fillText(`${Number(at.toFixed(2))} s`, this.#x(at) + 3, 11);
    }
  }

  #drawSound(paint, width, film) {
    const top = HEIGHTS.ruler;
    paint.fillStyle = this.#colour("--panel");
    paint.fillRect(0, top, width, HEIGHTS.wave + HEIGHTS.spectrogram);
    if (!film.channels) {
      paint.fillStyle = this.#colour("--text");
      paint.fillText("This film has no sound.", 8, top + 24);
      return;
    }
    const last = Math.floor(Math.min(this.view[1], film.seconds - 1e-3) / film.blockSeconds);
    for (let block = Math.floor(this.view[0] / film.blockSeconds); block <= last; block += 1) {
      const found = this.#block(film, block);
      if (found.wave) this.#drawWave(paint, film, block, found.wave);
      if (found.picture?.complete && found.picture.naturalWidth) this.#drawPicture(paint, film, block, found.picture);
    }
  }

  #drawWave(paint, film, block, wave) {
    const middle = HEIGHTS.ruler + HEIGHTS.wave / 2;
    const column = film.blockSeconds / film.blockColumns;
    paint.fillStyle = this.#colour("--accent");
    wave.forEach(([low, high], at) => {
      const x = this.#x(block * film.blockSeconds + at * column);
      const wide = Math.max(1, this.#x(block * film.blockSeconds + (at + 1) * column) - x);
      const [up, down] = [high, low].map((level) => Math.min(1, Math.max(-1, level)) * (HEIGHTS.wave / 2 - 1));
      paint.fillRect(x, middle - up, wide, Math.max(1, up - down));
    });
  }

  #drawPicture(paint, film, block, picture) {
    const [left, right] = [block, block + 1].map((each) => this.#x(each * film.blockSeconds));
    paint.imageSmoothingEnabled = false;
    paint.drawImage(picture, left, HEIGHTS.ruler + HEIGHTS.wave, right - left, HEIGHTS.spectrogram);
  }

  #block(film, block) {
    const key = `${film.index}/${block}`;
    let found = this.blocks.get(key);
    if (!found) {
      found = { wave: null, picture: new Image() };
      found.picture.onload = () => this.draw();
      found.picture.src = `spectrogram/${key}.png`;
      fetch(`waveform/${key}.json`).then((answer) => (answer.ok ? answer.json() : null)).then((wave) => {
        found.wave = wave;
        this.draw();
      }).catch(() => this.blocks.delete(key));
      this.blocks.set(key, found);
      if (this.blocks.size > KEPT) this.blocks.delete(this.blocks.keys().next().value);
    }
    return found;
  }

  #drawSegments(paint) {
    const top = HEIGHTS.ruler + HEIGHTS.wave + HEIGHTS.spectrogram + 2;
    for (const each of this.state.segments) {
      const [left, right] = [this.#x(each.start), this.#x(each.end)];
      const chosen = each.id === this.state.selected;
      paint.globalAlpha = each.suggested ? 0.45 : 0.85;
      paint.fillStyle = chosen ? this.#colour("--accent") : this.#colour("--quiet");
      paint.fillRect(left, top, Math.max(2, right - left), HEIGHTS.segments - 18);
      paint.globalAlpha = 1;
      paint.fillStyle = this.#colour("--ground");
      paint.save();
      paint.beginPath();
      paint.rect(left, top, right - left, HEIGHTS.segments);
      paint.clip();
      paint.fillText(each.label || "?", Math.max(left, 0) + 4, top + 15);
      paint.restore();
      paint.fillStyle = chosen ? "#ff5d5d" : this.#colour("--quiet");
      for (const frame of each.boxes) paint.fillRect(this.#x(frame.time) - 2, top + HEIGHTS.segments - 14, 5, 8);
    }
  }

  #drawPlayhead(paint, height) {
    paint.fillStyle = "#ff5d5d";
    paint.fillRect(this.#x(this.state.time) - 1, 0, 2, height);
  }

  #press(event) {
    const grasped = this.#grasped(event.offsetX, event.offsetY);
    if (!grasped) {
      this.actions.seek(this.#seconds(event.offsetX));
      const inside = this.#at(event.offsetX, event.offsetY);
      if (inside) this.actions.select(inside.id);
      return;
    }
    this.canvas.setPointerCapture(event.pointerId);
    const move = (next, end) => this.actions.drag(grasped.id, grasped.edge, this.#seconds(next.offsetX), end);
    const onMove = (next) => move(next, false);
    this.canvas.addEventListener("pointermove", onMove);
    this.canvas.addEventListener("pointerup", (next) => {
      this.canvas.removeEventListener("pointermove", onMove);
      move(next, true);
    }, { once: true });
  }

  #lane(y) {
    return y > HEIGHTS.ruler + HEIGHTS.wave + HEIGHTS.spectrogram;
  }

  #at(x, y) {
    if (!this.#lane(y)) return null;
    const seconds = this.#seconds(x);
    return this.state.segments.find((each) => seconds >= each.start && seconds <= each.end) ?? null;
  }

  #grasped(x, y) {
    if (!this.#lane(y)) return null;
    for (const each of this.state.segments) {
      for (const edge of ["start", "end"]) {
        if (Math.abs(this.#x(each[edge]) - x) <= EDGE) return { id: each.id, edge };
      }
    }
    return null;
  }
}
