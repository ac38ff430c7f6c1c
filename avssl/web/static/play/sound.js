/** Sound of a film: a queue of blocks, the mixer, the filters of the head, and the clock that the picture follows. */

import { bytesOf } from "./film_source.js";
import { transposed } from "./rotation.js";

/** Blocks that are held for each sound track: the one that sounds and those ahead. */
export const HELD_BLOCKS = 5;

/** Nodes that turn W, Y, Z, X into left and right: four convolvers of two channels each. */
export function connectHead(context, field, filters, target) {
  const values = new Float32Array(bytesOf(filters.values));
  const splitter = new ChannelSplitterNode(context, { numberOfOutputs: 4 });
  field.connect(splitter, 0);
  for (let channel = 0; channel < 4; channel++) {
    const response = context.createBuffer(2, filters.taps, context.sampleRate);
    [0, 1].forEach((ear) => response.copyToChannel(taps(values, filters.taps, ear, channel), ear));
    const convolver = new ConvolverNode(context, { disableNormalization: true });
    convolver.buffer = response;
    splitter.connect(convolver, channel);
    convolver.connect(target);
  }
}

function taps(values, count, ear, channel) {
  const begin = (4 * ear + channel) * count;
  return values.subarray(begin, begin + count);
}

/** Plays the sound tracks of one film in an AudioContext or OfflineAudioContext. */
export class Sound {
  /**
   * @param {BaseAudioContext} context at the film's sample rate
   * @param {object} film description
   * @param {object} source of blocks
   */
  static async open(context, film, source) {
    await context.audioWorklet.addModule(source.workletUrl);
    return new Sound(context, film, source);
  }

  constructor(context, film, source) {
    Object.assign(this, { context, film, source, generation: 0, track: 0, playing: false });
    this.asked = new Map();
    this.clock = { sample: 0, frame: 0, moving: false, starved: true, held: 0 };
    this.onCovariance = this.onEnd = this.onFault = () => {};
    this.mixer = new AudioWorkletNode(context, "avssl-mixer", {
      numberOfInputs: 0, numberOfOutputs: 2, outputChannelCount: [4, 2],
      processorOptions: { channels: film.tracks.map((each) => each.channels), blockSamples: film.blockSamples,
        endSample: Math.round(film.seconds * film.rate) },
    });
    this.volume = new GainNode(context);
    connectHead(context, this.mixer, film.filters, this.volume);
    this.mixer.connect(this.volume, 1);
    this.volume.connect(context.destination);
    this.mixer.port.onmessage = ({ data }) => this.#receive(data);
    this.seek(0);
  }

  /** Seconds of the film that sound at this moment, after the delay of the output. */
  get seconds() {
    const { sample, frame, moving } = this.clock;
    const passed = moving ? this.context.currentTime * this.context.sampleRate - frame : 0;
    const late = moving ? (this.context.outputLatency ?? 0) * this.film.rate : 0;
    return Math.min(this.film.seconds, Math.max(0, sample + passed - late) / this.film.rate);
  }

  /** Go to a time in seconds; blocks of before are dropped. */
  seek(seconds) {
    const sample = Math.round(Math.min(seconds, this.film.seconds) * this.film.rate);
    this.abort?.abort();
    this.abort = new AbortController();
    this.generation++;
    this.asked.clear();
    this.clock = { ...this.clock, sample, moving: false, starved: true };
    this.#send({ type: "seek", sample, generation: this.generation });
    return this.#fill(sample);
  }

  play(on) {
    this.playing = on;
    this.#send({ type: "play", on });
  }

  /** Let another sound track sound, from the next sample on. */
  choose(track) {
    this.track = track;
    this.#send({ type: "track", index: track });
  }

  /** Turn the sound field to a view: axes of the view as columns. */
  turn(view) { this.#send({ type: "turn", matrix: transposed(view) }); }

  /** Resolves when the mixer has handled all messages so far. */
  settled() {
    return new Promise((resolve) => {
      this.resolvePing = resolve;
      this.#send({ type: "ping" });
    });
  }

  #send(message) { this.mixer.port.postMessage(message); }

  #receive(data) {
    if (data.type === "pong") this.resolvePing();
    if (data.generation !== this.generation) return;
    if (data.type === "covariance") this.onCovariance(data.values);
    if (data.type === "clock") {
      this.clock = data;
      this.#fill(data.sample);
      if (data.ended && this.playing) this.onEnd();
    }
  }

  /** Ask for all blocks from a sample on that are not held yet; the sounding track's first. */
  #fill(sample) {
    const first = Math.floor(sample / this.film.blockSamples);
    const last = Math.floor((this.film.seconds * this.film.rate) / this.film.blockSamples);
    const order = this.film.tracks.map((_, index) => index).sort((a, b) => (b === this.track) - (a === this.track));
    for (const key of this.asked.keys()) if (key < first) this.asked.delete(key);
    const begun = [];
    for (let index = first; index < first + HELD_BLOCKS && index <= last; index++) {
      if (this.asked.has(index)) continue;
      this.asked.set(index, true);
      begun.push(...order.map((track) => this.#fetch(track, index)));
    }
    return Promise.all(begun);
  }

  async #fetch(track, index) {
    const { generation } = this;
    try {
      const samples = await this.source.block(track, index, this.film.tracks[track].channels, this.abort.signal);
      if (generation === this.generation) this.#send({ type: "block", generation, track, index, samples });
    } catch (error) {
      if (error.name !== "AbortError" && generation === this.generation) this.onFault(error);
    }
  }
}
