/** The annotation page: what its parts do with one another. */

import { Annotator } from "./annotator.js";
import { BoxLayer } from "./box_layer.js";
import { FilmView } from "./film_view.js";
import { actionOf, writeKeys } from "./keys.js";
import { showClasses, showFilms, showSegments } from "./lists.js";
import { Timeline } from "./timeline.js";

const get = (id) => document.getElementById(id);
const view = new FilmView(get("video"), get("still"));
const annotator = new Annotator(view);
const boxes = new BoxLayer(get("boxes"), (box) => annotator.setBox(box));
const timeline = new Timeline(get("timeline"), {
  seek: (seconds) => view.seek(seconds),
  select: (id) => annotator.select(id),
  drag: (id, edge, seconds, end) => annotator.moveEdge(id, edge, seconds, end),
});

const ACTIONS = {
  play: () => view.toggle(),
  playSegment: () => {
    if (!annotator.segment) return;
    view.pause();
    view.seek(annotator.segment.start);
    view.toggle(annotator.segment.end);
  },
  frame: (step) => view.step(step),
  seconds: (step) => view.seek(view.time + step),
  ends: (side) => view.seek(side < 0 ? 0 : annotator.film.seconds),
  create: () => annotator.create(),
  edge: (edge) => annotator.segment && annotator.moveEdge(annotator.selected, edge, view.time),
  select: (step) => annotator.selectNext(step),
  nameClass: () => annotator.segment && focusLabel(),
  class: (number) => annotator.labels[number] && annotator.setLabel(annotator.labels[number]),
  box: () => beginBox(),
  removeBox: () => annotator.removeBox(),
  keyFrame: (step) => annotator.toKeyFrame(step),
  confirm: () => annotator.confirm(),
  remove: () => annotator.remove(),
  undo: () => annotator.step("undo"),
  redo: () => annotator.step("redo"),
  done: () => annotator.toggleDone(),
  film: (step) => annotator.open(annotator.film.index + step),
  zoom: (factor) => timeline.zoom(factor),
  help: () => get("keys").showModal(),
};

function focusLabel() {
  get("label").focus();
  get("label").select();
}

function beginBox() {
  if (!annotator.segment) {
    annotator.say("Select or create a segment (n) first: a box belongs to one.");
    return;
  }
  view.pause();
  boxes.begin(annotator.draft);
  show();
}

function onKey(event) {
  if (get("keys").open) {
    if (event.key === "Escape" || event.key === "?") closeKeys(event);
    return;
  }
  if (event.target.matches?.("input[type=text], select")) return;
  if (boxes.draft && drawingKey(event)) {
    event.preventDefault();
    show();
    return;
  }
  const shown = !event.target.closest?.("dialog:not([open])"); // a closed one keeps the focus until the next frame
  const pressesButton = event.key === " " && shown && event.target.matches?.("button, input");
  const action = pressesButton ? null : actionOf(event);
  if (!action || !annotator.film) return;
  event.preventDefault();
  get("message").hidden = true;
  ACTIONS[action[0]](...action.slice(1));
}

/** Close the table of keys at once, before the next key. */
function closeKeys(event) {
  event.preventDefault();
  get("keys").close();
}

function drawingKey(event) {
  if (event.key === "Enter" || event.key === "Escape") {
    boxes.finish(event.key === "Enter");
    return true;
  }
  return boxes.change(event);
}

function show() {
  if (!annotator.film) return;
  const { segment } = annotator;
  const time = view.time;
  get("time").value = `${time.toFixed(3)} s of ${annotator.film.seconds.toFixed(2)} s`;
  get("play").textContent = view.playing ? "Pause" : "Play";
  get("mode").textContent = boxes.draft ? "Drawing a box: arrows, Shift+arrows, Enter or Esc"
    : view.seeking ? "Seeking" : "";
  boxes.fit((annotator.film.width || 16) / (annotator.film.height || 9));
  boxes.show(annotator.boxes);
  timeline.show(time, annotator.ordered, annotator.selected);
  if (document.activeElement !== get("label")) get("label").value = segment?.label ?? "";
}

function showLists() {
  if (!annotator.film) return;
  const { segment } = annotator;
  showFilms(get("film-list"), annotator.films, annotator.film.index, (index) => annotator.open(index));
  showSegments(get("segments"), annotator.ordered, annotator.selected, (id) => annotator.select(id));
  showClasses(get("classes"), get("labels"), annotator.labels);
  get("editor").hidden = !segment;
  get("confirm").hidden = !segment?.suggested;
  get("facts").textContent = segment ? `${segment.start.toFixed(3)} to ${segment.end.toFixed(3)} s` : "";
  get("done").checked = annotator.film.done;
  showSaved();
  show();
}

function showSaved() {
  const { waiting, reached } = annotator;
  const plural = waiting === 1 ? "1 edit is" : `${waiting} edits are`;
  get("saved").textContent = reached ? (waiting ? "Saving" : "Saved")
    : `The server is not reached; ${plural} kept in this page until it is back`;
  get("saved").classList.toggle("waiting", !reached);
}

function showMessage(text) {
  get("message").textContent = text;
  get("message").hidden = false;
}

function connect() {
  get("title").textContent = `${annotator.folder}, annotator ${annotator.annotator}`;
  document.title = `${annotator.folder} · avssl annotate`;
}

function opened() {
  get("message").hidden = true;
  view.open(annotator.film);
  timeline.open(annotator.film);
  boxes.draft = null;
  connect();
}

annotator.addEventListener("open", opened);
annotator.addEventListener("change", showLists);
annotator.addEventListener("message", (event) => showMessage(event.detail));
view.addEventListener("time", show);
view.addEventListener("still", () => showMessage(
  "This browser does not play this film: its frames are shown one by one, without sound. Convert it to mp4 (H.264, AAC) to play it.",
));
document.addEventListener("keydown", onKey);
new ResizeObserver(show).observe(get("picture"));
get("editor").addEventListener("submit", (event) => event.preventDefault());
get("label").addEventListener("keydown", (event) => {
  if (event.key === "Enter") annotator.setLabel(get("label").value.trim());
  if (event.key === "Escape") get("label").value = annotator.segment?.label ?? "";
  if (event.key === "Enter" || event.key === "Escape") get("label").blur();
});
get("label").addEventListener("change", () => annotator.setLabel(get("label").value.trim()));
get("play").addEventListener("click", ACTIONS.play);
get("undo").addEventListener("click", ACTIONS.undo);
get("redo").addEventListener("click", ACTIONS.redo);
get("help").addEventListener("click", ACTIONS.help);
get("close-keys").addEventListener("click", () => get("keys").close());
get("confirm").addEventListener("click", ACTIONS.confirm);
get("delete").addEventListener("click", ACTIONS.remove);
get("done").addEventListener("change", ACTIONS.done);
window.addEventListener("beforeunload", (event) => annotator.waiting && event.preventDefault());
writeKeys(get("key-table"));
annotator.start().catch((error) => showMessage(`The page cannot be loaded: ${error.message}`));
