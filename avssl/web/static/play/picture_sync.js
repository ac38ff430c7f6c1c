/** Keeps a video with the clock of the sound: by its rate of play, and by seeks where it is far off. */

/** Seconds off from which on the rate changes, and from which on the video seeks. */
const CLOSE = 0.008;
const FAR = 0.3;
/** Change of rate for each second off, and the largest. */
const GAIN = 1.5;
const LARGEST = 0.3;
/** Milliseconds between changes of the rate: each starts the video's own clock anew, which costs it time. */
const INTERVAL = 300;
/** Measured offsets that are kept. */
const KEPT = 4000;

/** Lets a video follow a clock in seconds. */
export class PictureSync {
  /**
   * @param {HTMLVideoElement} video
   * @param {Function} clock seconds of the film that sound now
   * @param {Function} now milliseconds
   */
  constructor(video, clock, now = () => performance.now()) {
    Object.assign(this, { video, clock, now, playing: false, frames: 0, corrected: -INTERVAL });
    /** Seconds by which frames were shown late (positive) or early, newest last. */
    this.offsets = [];
    this.onFrame = () => {};
    video.requestVideoFrameCallback((now, frame) => this.#presented(now, frame));
  }

  play(on) {
    this.playing = on;
    if (on) this.follow();
    else this.video.pause();
  }

  /** Show the frame of a time. */
  seek(seconds) {
    this.video.currentTime = Math.min(seconds, Math.max(0, (this.video.duration || seconds) - 0.001));
  }

  /** Correct the video; called for every frame of the page. */
  follow() {
    const { video } = this;
    const wanted = this.clock();
    if (!this.playing || video.seeking || video.readyState < 1) return;
    if (wanted >= video.duration) return;
    const off = wanted - video.currentTime;
    if (video.paused) video.play().catch(() => {});
    if (this.now() < this.corrected + INTERVAL) return;
    this.corrected = this.now();
    if (Math.abs(off) > FAR) this.seek(wanted);
    const change = Math.abs(off) < CLOSE ? 0 : Math.max(-LARGEST, Math.min(LARGEST, GAIN * off));
    const rate = Math.round(100 * (1 + change)) / 100;
    if (rate !== video.playbackRate) video.playbackRate = rate;
  }

  #presented(now, frame) {
    this.frames++;
    this.onFrame();
    if (this.playing) {
      const ahead = (frame.expectedDisplayTime - performance.now()) / 1000;
      this.offsets.push(this.clock() + ahead - frame.mediaTime);
      if (this.offsets.length > KEPT) this.offsets.shift();
    }
    this.video.requestVideoFrameCallback((later, next) => this.#presented(later, next));
  }
}
