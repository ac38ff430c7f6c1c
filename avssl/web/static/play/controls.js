/** Buttons, sliders and keys of the page. */

import { hasHeadset } from "./headset.js";

/** Seconds of a seek by key. */
const JUMP = 5;
const DEGREES = 180 / Math.PI;

/** Element of the page by its identifier. */
export function byId(name) { return document.getElementById(name); }

/** Show a message for people; an empty one hides it. */
export function showMessage(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

/** Hours, minutes and seconds. */
export function clockText(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Connects the page's elements with a player. */
export class Controls {
  constructor(player) {
    this.player = player;
    this.names = player.film.tracks.map((each) => each.name);
    this.strength = player.film.energy.opacity;
    byId("title").textContent = document.title = player.film.title;
    this.#sound();
    this.#overlays();
    this.#buttons();
    document.addEventListener("keydown", (event) => this.#key(event));
    player.onChange = () => this.refresh();
    setInterval(() => this.#time(), 200);
    this.refresh();
  }

  #sound() {
    const { tracks, blind } = this.player.film;
    tracks.forEach((track, index) => {
      const button = document.createElement("button");
      button.addEventListener("click", () => this.player.choose(index));
      byId("tracks").append(button);
    });
    byId("tracks").hidden = tracks.length < 2;
    byId("reveal").hidden = !blind || tracks.length < 2;
    byId("reveal").addEventListener("click", () => this.#reveal());
    byId("volume").addEventListener("input", ({ target }) => { this.player.volume = Number(target.value); });
    if (!tracks.length) showMessage("This film has no sound: it is played without.");
  }

  async #reveal() {
    this.names = await this.player.source.names();
    byId("reveal").hidden = true;
    this.refresh();
  }

  #overlays() {
    const { film, outlines } = this.player;
    const ambisonic = film.panoramic && film.tracks.some((track) => track.channels === 4);
    byId("energy").hidden = byId("energy-strength").hidden = !ambisonic;
    byId("energy-opacity").value = this.strength;
    byId("energy-opacity").addEventListener("input", ({ target }) => this.#strength(Number(target.value)));
    byId("energy").addEventListener("click", () => this.#energy());
    for (const [name, kind] of [["objects", "object"], ["crops", "crop"]]) {
      byId(name).hidden = !film.outlineKinds.includes(kind);
      byId(name).addEventListener("click", () => this.#toggle(name, kind));
    }
    byId("outline-strength").hidden = !film.outlineKinds.length;
    byId("outline-opacity").addEventListener("input", ({ target }) => { outlines.opacity = Number(target.value); });
  }

  #strength(value) {
    this.strength = value;
    if (byId("energy").getAttribute("aria-pressed") === "true") this.player.opacity = value;
  }

  #energy() {
    const on = this.player.opacity === 0;
    this.player.opacity = on ? this.strength : 0;
    byId("energy").setAttribute("aria-pressed", on);
  }

  #toggle(name, kind) {
    const on = !this.player.outlines.shown.has(kind);
    this.player.outlines.toggle(kind, on);
    byId(name).setAttribute("aria-pressed", on);
  }

  #buttons() {
    const { player } = this;
    byId("play").addEventListener("click", () => this.#play());
    byId("front").addEventListener("click", () => player.control.look(0, 0));
    byId("fullscreen").addEventListener("click", () => this.#fullscreen());
    byId("time").max = player.film.seconds;
    byId("time").addEventListener("input", ({ target }) => player.seek(Number(target.value)));
    byId("front").hidden = !player.film.panoramic;
    byId("headset").addEventListener("click", () => this.#headset());
    hasHeadset().then((there) => { byId("headset").hidden = !(there && player.film.panoramic); });
  }

  async #play() {
    try {
      await this.player.play(!this.player.playing);
    } catch (error) {
      this.player.onFault(error);
    }
  }

  #fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId("stage").requestFullscreen().catch((error) => showMessage(`Full screen: ${error.message}`));
  }

  async #headset() {
    try {
      if (this.player.headset.session) await this.player.headset.leave();
      else await this.player.headset.enter();
    } catch (error) {
      showMessage(`Headset: ${error.message}`);
    }
    this.refresh();
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select")) return;
    const { player } = this;
    const digit = Number(event.key) - 1;
    const actions = {
      " ": () => this.#play(), ",": () => player.seek(player.seconds - JUMP), ".": () => player.seek(player.seconds + JUMP),
      e: () => byId("energy").click(), o: () => byId("objects").click(), c: () => byId("crops").click(),
      h: () => byId("front").click(), f: () => this.#fullscreen(),
    };
    const action = digit >= 0 && digit < player.film.tracks.length ? () => player.choose(digit) :
      actions[event.key.toLowerCase()];
    if (!action || (event.key === " " && event.target.matches("button"))) return;
    event.preventDefault();
    action();
  }

  /** Bring the elements up to date. */
  refresh() {
    const { player } = this;
    byId("play").textContent = player.playing ? "Pause" : "Play";
    byId("play").setAttribute("aria-pressed", player.playing);
    [...byId("tracks").querySelectorAll("button")].forEach((button, index) => {
      button.textContent = `${player.film.tracks[index].letter} ${this.names[index]}`.trim();
      button.setAttribute("aria-pressed", index === player.track);
    });
    const [yaw, pitch] = [player.control.yaw, player.control.pitch].map((angle) => Math.round(angle * DEGREES));
    byId("direction").textContent = player.film.panoramic ? `azimuth ${yaw}°, elevation ${pitch}°` : "";
    byId("headset").textContent = player.headset.session ? "Leave the headset" : "Headset";
    this.#time();
  }

  #time() {
    const { seconds, film } = this.player;
    if (document.activeElement !== byId("time") || this.player.playing) byId("time").value = seconds;
    byId("time").setAttribute("aria-valuetext", clockText(seconds));
    byId("clock").textContent = `${clockText(seconds)} / ${clockText(film.seconds)}`;
  }
}
