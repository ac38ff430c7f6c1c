/** One film: sound, picture, view and overlays together. */

import { EnergyMap } from "./energy.js";
import { bytesOf } from "./film_source.js";
import { Headset } from "./headset.js";
import { Outlines } from "./outlines.js";
import { PictureSync } from "./picture_sync.js";
import { Sound } from "./sound.js";
import { Sphere } from "./sphere.js";
import { ViewControl } from "./view_control.js";

/** Plays a film on the elements of the page. */
export class Player {
  /** @param {object} film description @param {object} source @param {object} elements `view`, `outlines`, `picture` */
  constructor(film, source, elements) {
    Object.assign(this, { film, source, video: elements.picture, playing: false, track: 0, opacity: 0 });
    this.energy = new EnergyMap(film.energy);
    this.sphere = new Sphere(elements.view, new Uint8Array(bytesOf(film.energy.palette)), film.panoramic);
    this.control = new ViewControl(elements.view, () => this.#turned());
    this.outlines = new Outlines(elements.outlines, film, source);
    this.onChange = this.onFault = () => {};
    this.outlines.onFault = (error) => this.onFault(error);
    if (film.picture) this.#openPicture();
    this.headset = new Headset(this.sphere, {
      turn: (matrix) => this.sound?.turn(matrix), energy: () => ({ map: this.energy, opacity: this.opacity }),
      frame: () => this.#prepareFrame(), ended: () => { this.#turned(); this.onChange(); },
    });
    requestAnimationFrame(() => this.#draw());
  }

  /** Seconds of the film that are played now. */
  get seconds() {
    return this.sound?.seconds ?? (this.film.tracks.length ? this.begin ?? 0 : this.video.currentTime);
  }

  /** Start or pause; the first start opens the sound, which browsers allow only after a click or key. */
  async play(on) {
    if (on && this.seconds >= this.film.seconds - 0.05) await this.seek(0);
    this.playing = on;
    if (on && this.film.tracks.length) await this.#openSound();
    this.sound?.play(on);
    if (this.sync) this.sync.play(on);
    else if (this.film.picture) await (on ? this.video.play() : this.video.pause());
    this.onChange();
  }

  async seek(seconds) {
    const at = Math.max(0, Math.min(seconds, this.film.seconds));
    this.begin = at;
    this.energy.reset();
    if (this.sync) this.sync.seek(at);
    else if (this.film.picture) this.video.currentTime = at;
    await this.sound?.seek(at);
    this.onChange();
  }

  /** Let another sound track sound. */
  choose(track) {
    this.track = track;
    this.sound?.choose(track);
    this.energy.reset();
    this.onChange();
  }

  set volume(value) {
    this.loudness = value;
    if (this.sound) this.sound.volume.gain.value = value;
  }

  async #openSound() {
    if (this.opening) return this.opening;
    this.opening = this.#opened();
    return this.opening;
  }

  async #opened() {
    const context = new AudioContext({ sampleRate: this.film.rate, latencyHint: "interactive" });
    const sound = await Sound.open(context, this.film, this.source);
    sound.onCovariance = (values) => this.energy.add(values);
    sound.onEnd = () => this.play(false);
    sound.onFault = (error) => this.onFault(error);
    if (this.begin) sound.seek(this.begin);
    this.sound = sound;
    this.volume = this.loudness ?? 0.8;
    sound.choose(this.track);
    this.#turned();
    await context.resume();
  }

  #openPicture() {
    const { video, film } = this;
    video.src = film.pictureUrl;
    video.addEventListener("error", () => this.onFault(new Error(
      `this browser cannot play the video of ${film.title} (${video.error?.message || "unknown codec"}); open this ` +
      "address in Chromium, Chrome or Edge")));
    video.addEventListener("loadeddata", () => { this.fresh = true; });
    video.addEventListener("seeked", () => { this.fresh = true; });
    if (!film.tracks.length) {
      video.addEventListener("ended", () => this.play(false));
      video.addEventListener("timeupdate", () => { this.fresh = true; });
      return;
    }
    this.sync = new PictureSync(video, () => this.seconds);
    this.sync.onFrame = () => { this.fresh = true; };
  }

  #turned() {
    if (this.headset?.session) return;
    this.sound?.turn(this.control.matrix);
    this.onChange?.();
  }

  #prepareFrame() {
    if (this.playing) this.sync?.follow();
    if (!this.sync && this.playing) this.fresh = true;
    if (this.fresh && this.video.readyState >= 2) {
      this.sphere.upload(this.video);
      this.fresh = false;
      this.uploads = (this.uploads ?? 0) + 1;
    }
  }

  /** Draw, unless nothing has changed since. */
  #draw() {
    requestAnimationFrame(() => this.#draw());
    if (this.headset.session) return;
    this.#prepareFrame();
    const { matrix, field } = this.control;
    const { clientWidth, clientHeight } = this.sphere.canvas;
    const { opacity, outlines, energy } = this;
    const state = [matrix, field, clientWidth, clientHeight, this.uploads, opacity, opacity && energy.windows,
      [...outlines.shown], outlines.opacity, outlines.asked, outlines.shown.size && this.seconds].join();
    if (state === this.drawn) return;
    this.drawn = state;
    this.sphere.draw(matrix, field, this.energy, this.opacity);
    this.outlines.draw(this.seconds, matrix, field);
  }
}
