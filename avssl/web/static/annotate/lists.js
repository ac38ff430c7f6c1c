/** Lists beside the film: films of the folder, segments, classes. Texts are set as text, never as HTML. */

/** List of films with their state; `onOpen` gets the index of one. */
export function showFilms(list, films, current, onOpen) {
  list.replaceChildren(...films.map((film, index) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.textContent = `${film.done ? "✓ " : ""}${film.title}${counts(film)}`;
    button.setAttribute("aria-current", index === current ? "true" : "false");
    button.addEventListener("click", () => onOpen(index));
    item.append(button);
    return item;
  }));
}

/** List of segments; `onSelect` gets the identifier of one. */
export function showSegments(list, segments, selected, onSelect) {
  list.replaceChildren(...segments.map((each) => {
    const item = document.createElement("li");
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", each.id === selected ? "true" : "false");
    item.classList.toggle("suggested", Boolean(each.suggested));
    const boxes = each.boxes.length === 1 ? "1 box" : `${each.boxes.length} boxes`;
    const kind = each.suggested ? ", suggested" : "";
    item.textContent = `${each.label || "no class"} ${each.start.toFixed(2)} to ${each.end.toFixed(2)} s, ${boxes}${kind}`;
    item.addEventListener("click", () => onSelect(each.id));
    return item;
  }));
  list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
}

/** Classes with their numbers, and as choices of the text field. */
export function showClasses(line, choices, labels) {
  line.textContent = labels.slice(0, 9).map((label, at) => `${at + 1} ${label}`).join(" · ");
  choices.replaceChildren(...labels.map((label) => {
    const option = document.createElement("option");
    option.value = label;
    return option;
  }));
}

function counts(film) {
  const said = [];
  if (film.segments) said.push(`${film.segments}`);
  if (film.suggested) said.push(`${film.suggested} suggested`);
  return said.length ? ` (${said.join(", ")})` : "";
}
