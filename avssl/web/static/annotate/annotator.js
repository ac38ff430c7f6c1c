/** State of the page: films, the open one, its segments, edits; every action that keys and buttons have. */

import { EditQueue } from "./edits.js";
import { boxAt, withKeyFrame, withoutKeyFrame } from "./interpolation.js";

const NEW_SECONDS = 2; // length of a new segment
const FIRST_BOX = [0.35, 0.3, 0.65, 0.7];

export class Annotator extends EventTarget {
  /** Events: `change` when anything shown changes, `open` when a film was opened, `message` with a text in `detail`. */
  constructor(view) {
    super();
    this.view = view;
    this.films = [];
    this.labels = [];
    this.film = null;
    this.segments = {};
    this.selected = null;
    this.waiting = 0;
    this.reached = true;
  }

  /** Load the list of films, send edits that a crash left behind, open the first film that is not done. */
  async start() {
    Object.assign(this, await json("films.json"));
    this.queue = new EditQueue(`${this.folder}:${this.annotator}`,
      (waiting, reached) => this.#state(waiting, reached), (edit, answer) => this.#answered(edit, answer));
    await this.queue.send();
    const first = this.films.findIndex((film) => !film.done);
    await this.open(Math.max(0, first));
  }

  /** Open a film by its index. */
  async open(index) {
    if (index < 0 || index >= this.films.length) return;
    await this.queue.send();
    await this.#load(index);
  }

  async #load(index) {
    const film = await json(`film/${index}.json`);
    this.film = film;
    this.#take(film.annotations);
    this.selected = this.ordered[0]?.id ?? null;
    this.dispatchEvent(new Event("open"));
    this.#changed();
    if (film.error) this.say(film.error);
  }

  /** Segments in the order of time. */
  get ordered() {
    return Object.values(this.segments).sort((one, other) => one.start - other.start || one.end - other.end);
  }

  /** The selected segment, or null. */
  get segment() {
    return this.segments[this.selected] ?? null;
  }

  /** Seconds within which two times are one frame. */
  get slack() {
    return 0.5 / this.view.rate;
  }

  /** Boxes at the playhead, for the layer over the film. */
  get boxes() {
    const time = this.view.time;
    return this.ordered.filter((each) => each.id === this.selected || (time >= each.start && time < each.end))
      .filter((each) => each.boxes.length)
      .map((each) => ({
        box: boxAt(each.boxes, time), selected: each.id === this.selected,
        between: !each.boxes.some((frame) => Math.abs(frame.time - time) <= this.slack),
      }));
  }

  say(text) {
    this.dispatchEvent(new CustomEvent("message", { detail: text }));
  }

  select(id) {
    this.selected = id;
    this.#changed();
  }

  /** Select the segment before (-1) or after (1), and go to its start. */
  selectNext(step) {
    const all = this.ordered;
    if (!all.length) return;
    const at = all.findIndex((each) => each.id === this.selected);
    const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
    this.view.seek(next.start);
    this.select(next.id);
  }

  create() {
    const start = round(this.view.time);
    const end = round(Math.min(this.film.seconds, start + NEW_SECONDS));
    if (end <= start) return;
    const made = { id: newId(), label: this.segment?.label ?? "", start, end, boxes: [] };
    this.selected = made.id;
    this.#edit({ [made.id]: made });
  }

  /** Move the start or the end of a segment; `end` is false while a pointer drags. */
  moveEdge(id, edge, seconds, end = true) {
    const before = this.dragged?.id === id ? this.dragged : this.segments[id];
    const time = round(Math.min(this.film.seconds, Math.max(0, seconds)));
    const moved = { ...before, [edge]: time };
    if (moved.end <= moved.start) {
      if (end && !this.dragged) this.say(`The ${edge} has to lie ${edge === "start" ? "before the end" : "after the start"}.`);
      if (end) this.#endDrag(before);
      return;
    }
    if (!end) {
      this.dragged ??= before;
      this.segments[id] = moved;
      this.#changed();
      return;
    }
    this.#endDrag(before);
    if (time !== before[edge]) this.#edit({ [id]: moved });
  }

  #endDrag(before) {
    this.segments[before.id] = before;
    this.dragged = null;
    this.#changed();
  }

  setLabel(label) {
    if (!this.segment || label === this.segment.label) return;
    if (label && !this.labels.includes(label)) this.labels.push(label);
    this.#edit({ [this.selected]: { ...this.segment, label } });
  }

  /** Confirm a suggestion. */
  confirm() {
    if (!this.segment?.suggested) return;
    const { suggested, ...rest } = this.segment;
    this.#edit({ [this.selected]: rest });
  }

  remove() {
    if (!this.segment) return;
    const all = this.ordered;
    const at = all.findIndex((each) => each.id === this.selected);
    const gone = this.selected;
    this.selected = (all[at + 1] ?? all[at - 1])?.id ?? null;
    this.#edit({ [gone]: null });
  }

  /** Box from which drawing by keys begins. */
  get draft() {
    return boxAt(this.segment?.boxes ?? [], this.view.time) ?? FIRST_BOX;
  }

  /** Keep a box on the frame of the playhead. */
  setBox(box) {
    if (!this.segment) {
      this.say("Select or create a segment (n) first: a box belongs to one.");
      return;
    }
    const boxes = withKeyFrame(this.segment.boxes, round(this.view.time), box, this.slack);
    this.#edit({ [this.selected]: { ...this.segment, boxes } });
  }

  removeBox() {
    const boxes = withoutKeyFrame(this.segment?.boxes ?? [], this.view.time, this.slack);
    if (this.segment && boxes.length < this.segment.boxes.length) this.#edit({ [this.selected]: { ...this.segment, boxes } });
  }

  /** Go to the key frame before (-1) or after (1) the playhead. */
  toKeyFrame(step) {
    const times = (this.segment?.boxes ?? []).map((frame) => frame.time);
    const found = step > 0 ? times.find((each) => each > this.view.time + this.slack)
      : times.findLast((each) => each < this.view.time - this.slack);
    if (found !== undefined) this.view.seek(found);
  }

  toggleDone() {
    this.#edit({}, !this.film.done);
  }

  /** Undo or redo, in order with the edits; goes to the film and segment that change. */
  step(kind) {
    this.queue.add({ id: newId(), kind });
  }

  #edit(segments, done) {
    const film = this.film.name;
    const before = Object.fromEntries(Object.keys(segments).map((id) => [id, this.segments[id] ?? null]));
    const state = done === undefined ? {} : { done: this.film.done };
    const expected = { film, segments: before, ...state };
    const change = { film, segments, ...(done === undefined ? {} : { done }) };
    this.#apply(change);
    this.#count();
    this.#changed();
    this.queue.add({ id: newId(), kind: "edit", change, expected });
  }

  #apply({ segments, done }) {
    for (const [id, segment] of Object.entries(segments)) {
      if (segment === null) delete this.segments[id];
      else this.segments[id] = segment;
    }
    this.film.done = done ?? this.film.done;
  }

  /** Take the server's annotations, with the edits on top that are on their way. */
  #take(annotations) {
    this.segments = Object.fromEntries(annotations.segments.map((each) => [each.id, each]));
    this.film.done = annotations.done;
    const waiting = this.queue.waiting.filter((edit) => edit.change?.film === this.film.name);
    for (const { change } of waiting) this.#apply(change);
    this.#count();
  }

  #count() {
    const all = Object.values(this.segments);
    const suggested = all.filter((each) => each.suggested).length;
    Object.assign(this.films[this.film.index], { segments: all.length - suggested, suggested, done: this.film.done });
  }

  #state(waiting, reached) {
    Object.assign(this, { waiting, reached });
    this.#changed();
  }

  async #answered(edit, { ok, content }) {
    if (ok && edit.kind !== "edit" && content.film !== null) {
      await this.#show(content);
    } else if (!ok) {
      this.say(typeof content === "string" ? content
        : "Another page has changed this film; it is shown as it is now, and your last edit was not applied.");
      await this.#reload();
    }
  }

  /** Show what undo or redo has changed. */
  async #show({ index, change }) {
    Object.assign(this, pick(await json("films.json"), "films", "labels"));
    if (index === null) return;
    if (index === this.film.index) await this.#reload();
    else await this.#load(index);
    this.selected = Object.keys(change.segments).find((id) => this.segments[id]) ?? this.selected;
    if (!this.segment) this.selected = this.ordered[0]?.id ?? null;
    this.#changed();
  }

  async #reload() {
    if (!this.film) return;
    this.#take((await json(`film/${this.film.index}.json`)).annotations);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** An object from the server. */
async function json(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function pick(object, ...names) {
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}

/** Seconds to a tenth of a millisecond. */
function round(seconds) {
  return Math.round(seconds * 1e4) / 1e4;
}

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
