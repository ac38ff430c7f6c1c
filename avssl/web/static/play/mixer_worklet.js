/**
 * Plays blocks of all sound tracks of a film on one time line: one of them sounds, changes are cross-faded sample by
 * sample, and its sound field is rotated to the view. Output 0: W, Y, Z, X as the view has them; output 1: left, right.
 */

/** Length of the cross-fade between sound tracks, seconds. */
const CROSS_FADE = 0.01;
/** Length of fades at play and pause, seconds. */
const EDGE = 0.005;
/** Length of a window of the energy map, seconds. */
const WINDOW = 0.1;
/** Render quanta between messages about the clock. */
const REPORT = 8;

class MixerProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    const { channels, blockSamples, endSample } = processorOptions;
    this.tracks = channels.map((count) => ({ channels: count, blocks: new Map() }));
    Object.assign(this, { blockSamples, endSample, sample: 0, generation: 0, playing: false, loudness: 0 });
    Object.assign(this, { track: 0, before: 0, fade: 1, starved: false, quanta: 0 });
    this.turn = this.target = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
    this.between = new Float64Array(9);
    this.frame = new Float64Array(8);
    this.covariance = new Float64Array(10);
    this.covered = 0;
    this.port.onmessage = ({ data }) => this[`on_${data.type}`](data);
  }

  on_block({ generation, track, index, samples }) {
    if (generation === this.generation) this.tracks[track].blocks.set(index, samples);
  }

  on_seek({ sample, generation }) {
    Object.assign(this, { sample, generation });
    this.tracks.forEach(({ blocks }) => blocks.clear());
    this.covered = 0;
    this.covariance.fill(0);
  }

  on_play({ on }) { this.playing = on; }

  on_track({ index }) {
    if (index === this.track) return;
    Object.assign(this, { before: this.track, track: index, fade: 0 });
  }

  on_turn({ matrix }) { this.target = Float64Array.from(matrix); }

  on_ping({ id }) { this.port.postMessage({ type: "pong", id }); }

  process(_, [field, pair]) {
    const length = field[0].length;
    for (let n = 0; n < length; n++) this.#next(field, pair, n, (n + 1) / length);
    this.turn = this.target;
    if (++this.quanta % REPORT === 0) this.#report(length);
    return true;
  }

  /** One output sample; the film stands still while paused, at its end, or while a block is missing. */
  #next(field, pair, n, share) {
    const wanted = this.playing && this.sample < this.endSample ? 1 : 0;
    const step = 1 / (EDGE * sampleRate);
    this.starved = false;
    if (!wanted && this.loudness === 0) return;
    if (!this.#read(this.track, 0)) {
      this.starved = true;
      this.loudness = 0;
      return;
    }
    this.loudness += Math.max(-step, Math.min(step, wanted - this.loudness));
    this.#cover();
    this.#fade();
    this.#write(field, pair, n, share);
    if (++this.sample % this.blockSamples === 0) this.#forget();
  }

  /** Read a sample of a track into `frame`, at 0: W, Y, Z, X of sound fields, at 4: left, right; false: not there. */
  #read(track, from) {
    const { channels, blocks } = this.tracks[track];
    const block = blocks.get(Math.floor(this.sample / this.blockSamples));
    if (!block) return false;
    const at = this.sample % this.blockSamples;
    if (from === 0) this.frame.fill(0);
    const first = channels === 4 ? 0 : 4;
    const weight = from === 0 ? 1 : 1 - this.fade;
    for (let channel = 0; channel < channels; channel++) this.frame[first + channel] += weight * block[channel][at];
    return true;
  }

  /** Mix the sounding track with the one before it while they are cross-faded. */
  #fade() {
    if (this.fade >= 1) return;
    for (let index = 0; index < 8; index++) this.frame[index] *= this.fade;
    this.#read(this.before, 1);
    this.fade = Math.min(1, this.fade + 1 / (CROSS_FADE * sampleRate));
  }

  #write(field, pair, n, share) {
    const { frame, loudness: gain } = this;
    const [y, z, x, m] = [frame[1], frame[2], frame[3], this.#turnAt(share)];
    field[0][n] = gain * frame[0];
    field[1][n] = gain * (m[3] * x + m[4] * y + m[5] * z);
    field[2][n] = gain * (m[6] * x + m[7] * y + m[8] * z);
    field[3][n] = gain * (m[0] * x + m[1] * y + m[2] * z);
    pair[0][n] = gain * frame[4];
    pair[1][n] = gain * frame[5];
  }

  /** Matrix of the turn at a share of the render quantum: it moves linearly to a new view. */
  #turnAt(share) {
    if (this.turn === this.target) return this.target;
    for (let index = 0; index < 9; index++)
      this.between[index] = this.turn[index] + share * (this.target[index] - this.turn[index]);
    return this.between;
  }

  /** Add the sample, as the film has it, to the covariance of W, Y, Z, X. */
  #cover() {
    let place = 0;
    for (let row = 0; row < 4; row++)
      for (let column = row; column < 4; column++) this.covariance[place++] += this.frame[row] * this.frame[column];
    if (++this.covered < WINDOW * sampleRate) return;
    const values = Array.from(this.covariance, (value) => value / this.covered);
    this.port.postMessage({ type: "covariance", values, generation: this.generation });
    this.covariance.fill(0);
    this.covered = 0;
  }

  #forget() {
    const passed = this.sample / this.blockSamples;
    for (const { blocks } of this.tracks) for (const index of blocks.keys()) if (index < passed) blocks.delete(index);
  }

  #report(length) {
    const { sample, generation, starved } = this;
    const held = Math.max(...this.tracks.map(({ blocks }) => blocks.size), 0);
    const ended = this.sample >= this.endSample;
    const moving = this.loudness > 0;
    this.port.postMessage({
      type: "clock", sample, generation, starved, ended, moving, held, frame: currentFrame + length });
  }
}

registerProcessor("avssl-mixer", MixerProcessor);
