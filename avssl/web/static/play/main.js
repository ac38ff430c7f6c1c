/** Entry of the player's page, served or exported. */

import { Controls, byId, showMessage } from "./controls.js";
import { EmbeddedSource, ServedSource } from "./film_source.js";
import { Player } from "./player.js";

async function main() {
  const embedded = byId("film-data");
  const chosen = Number(new URLSearchParams(location.search).get("film") ?? 0);
  const source = embedded ? new EmbeddedSource(JSON.parse(embedded.textContent)) : new ServedSource(chosen);
  listFilms(await source.films(), chosen);
  const elements = { view: byId("view"), outlines: byId("outlines"), picture: byId("picture") };
  const player = new Player(await source.description(), source, elements);
  player.onFault = (error) => showMessage(error.message);
  const controls = new Controls(player);
  Object.assign(globalThis, { avssl: { player, controls } });
}

/** Offer the films of the page, if there are several. */
function listFilms(titles, chosen) {
  byId("film-choice").hidden = titles.length < 2;
  titles.forEach((title, index) => byId("films").append(new Option(title, index, false, index === chosen)));
  byId("films").addEventListener("change", ({ target }) => { location.search = `?film=${target.value}`; });
}

main().catch((error) => showMessage(error.message));
