/** One trial: the player, the sounds of it, and how long each was played. */

import { Player } from "../play/player.js";
import { TrialSource } from "./trial_source.js";
import { hasHeadset } from "../play/headset.js";

const TICK = 100; // ms between looks at what is played
const LEAST = 3; // seconds that each sound has to be played before an answer; shorter films: all but a half
const get = (id) => document.getElementById(id);

export class Trial {
  /**
   * @param {object} film description
   * @param {TrialSource} source of its sound
   * @param {{changed: () => void, fault: (text: string) => void}} hooks
   */
  constructor(film, source, hooks) {
    const elements = { view: get("view"), outlines: get("outlines"), picture: get("picture") };
    this.film = film;
    this.hooks = hooks;
    this.began = performance.now();
    this.played = film.tracks.map(() => 0);
    this.headset = false;
    this.player = new Player(film, source, elements);
    this.player.onFault = (error) => hooks.fault(error.message);
    this.player.onChange = () => this.show();
    this.#buttons();
    setInterval(() => this.#tick(), TICK);
    this.show();
  }

  /** Open the trial of a participant. */
  static async open(code, number, hooks) {
    const source = new TrialSource(code, number);
    return new Trial(await source.description(), source, hooks);
  }

  /** Whether each sound was played long enough for an answer. */
  get ready() {
    const least = Math.min(LEAST, this.film.seconds / 2);
    return this.played.every((seconds) => seconds >= least);
  }

  /** Seconds since the trial was shown. */
  get seconds() {
    return (performance.now() - this.began) / 1000;
  }

  async play() {
    try {
      await this.player.play(!this.player.playing);
    } catch (error) {
      this.hooks.fault(error.message);
    }
  }

  /** Play one of two sounds. */
  choose(track) {
    if (track < this.film.tracks.length) this.player.choose(track);
  }

  #buttons() {
    get("play").addEventListener("click", () => this.play());
    get("volume").addEventListener("input", ({ target }) => { this.player.volume = Number(target.value); });
    get("tracks").hidden = get("pair-keys").hidden = this.film.tracks.length < 2;
    this.film.tracks.forEach((track, number) => {
      const button = document.createElement("button");
      button.textContent = `Sound ${track.letter}`;
      button.addEventListener("click", () => this.choose(number));
      get("tracks").append(button);
    });
    get("headset").addEventListener("click", () => this.#enter());
    hasHeadset().then((there) => { get("headset").hidden = !(there && this.film.panoramic); });
  }

  async #enter() {
    try {
      if (this.player.headset.session) await this.player.headset.leave();
      else await this.player.headset.enter();
      if (!this.player.playing) await this.player.play(true);
    } catch (error) {
      this.hooks.fault(`Headset: ${error.message}`);
    }
  }

  #tick() {
    const ready = this.ready;
    if (this.player.playing) {
      this.played[this.player.track] += TICK / 1000;
      this.headset ||= Boolean(this.player.headset.session);
    }
    get("clock").value = `${this.player.seconds.toFixed(0)} of ${this.film.seconds.toFixed(0)} s`;
    if (ready !== this.ready) this.hooks.changed();
  }

  show() {
    get("play").textContent = this.player.playing ? "Pause" : "Play";
    get("play").setAttribute("aria-pressed", this.player.playing);
    [...get("tracks").children].forEach((button, number) => button.setAttribute("aria-pressed", number === this.player.track));
  }
}
