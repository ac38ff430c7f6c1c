/** Keys of the page: every function by keyboard alone. */

/** [keys as shown, name of the action, meaning], in the order of the table of keys. */
export const KEYS = [
  ["Space", "play", "play or pause"],
  ["p", "playSegment", "play the segment"],
  ["← →", "frame", "one frame back or on; with Shift one second, with Ctrl ten"],
  ["Home End", "ends", "beginning or end of the film"],
  ["n", "create", "new segment from the playhead"],
  ["[ ]", "edge", "start or end of the segment to the playhead"],
  ["↑ ↓ or k j", "select", "segment before or after"],
  ["c", "nameClass", "name the class: type, then Enter"],
  ["1 to 9", "class", "class by its number"],
  ["b", "box", "draw a box on this frame: arrows move it, Shift+arrows size it, Alt finely; Enter keeps it, Esc does not"],
  ["x", "removeBox", "remove the box of this key frame"],
  [", .", "keyFrame", "key frame before or after"],
  ["a", "confirm", "confirm a suggestion"],
  ["Delete", "remove", "delete the segment"],
  ["u or Ctrl+Z", "undo", "undo"],
  ["r or Ctrl+Y", "redo", "redo"],
  ["d", "done", "film is done, or not"],
  ["Page Up, Page Down", "film", "film before or after"],
  ["+ −", "zoom", "less or more time in the timeline"],
  ["?", "help", "this table"],
];

const PLAIN = {
  " ": ["play"], p: ["playSegment"], Home: ["ends", -1], End: ["ends", 1], n: ["create"], "[": ["edge", "start"],
  "]": ["edge", "end"], ArrowUp: ["select", -1], ArrowDown: ["select", 1], k: ["select", -1], j: ["select", 1],
  c: ["nameClass"], b: ["box"], x: ["removeBox"], ",": ["keyFrame", -1], ".": ["keyFrame", 1], a: ["confirm"],
  Delete: ["remove"], Backspace: ["remove"], u: ["undo"], r: ["redo"], d: ["done"], PageUp: ["film", -1],
  PageDown: ["film", 1], "+": ["zoom", 0.5], "=": ["zoom", 0.5], "-": ["zoom", 2], "?": ["help"],
};

/**
 * Action of a key press outside text fields.
 * @param {KeyboardEvent} event the press
 * @returns {[string, ...unknown[]] | null} name and arguments
 */
export function actionOf(event) {
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    const sign = event.key === "ArrowLeft" ? -1 : 1;
    if (event.ctrlKey || event.metaKey) return ["seconds", 10 * sign];
    return event.shiftKey ? ["seconds", sign] : ["frame", sign];
  }
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() === "z") return [event.shiftKey ? "redo" : "undo"];
    return event.key.toLowerCase() === "y" ? ["redo"] : null;
  }
  if (event.altKey) return null;
  if (/^[1-9]$/.test(event.key)) return ["class", Number(event.key) - 1];
  return PLAIN[event.key] ?? null;
}

/** Fill a table with the keys. */
export function writeKeys(table) {
  table.replaceChildren(...KEYS.map(([keys, , meaning]) => {
    const row = document.createElement("tr");
    const [left, right] = [row.insertCell(), row.insertCell()];
    const shown = document.createElement("kbd");
    shown.textContent = keys;
    left.append(shown);
    right.textContent = meaning;
    return row;
  }));
}
