/** The film: a video element, or single frames from the server where the browser does not play the file. */

export class FilmView extends EventTarget {
  /** Events: `time` when the playhead moves, `still` when the browser does not play the film. */
  constructor(video, still) {
    super();
    this.video = video;
    this.still = still;
    this.film = null;
    this.stopAt = Infinity;
    this.position = 0;
    video.addEventListener("error", () => this.#showStills());
    video.addEventListener("seeked", () => this.dispatchEvent(new Event("time")));
    still.addEventListener("load", () => this.dispatchEvent(new Event("time")));
    video.addEventListener("pause", () => this.dispatchEvent(new Event("time")));
    video.addEventListener("play", () => this.#follow());
    video.addEventListener("loadedmetadata", () => this.seek(this.position));
  }

  /** Show a film: its header as `film/N.json` gives it. */
  open(film) {
    this.film = film;
    this.stopAt = Infinity;
    this.position = 0;
    this.frames = false;
    this.still.hidden = true;
    this.video.hidden = false;
    this.video.src = `media/${film.index}`;
  }

  /** Frames per second; 25 where the header has none. */
  get rate() {
    return this.film?.frame_rate || 25;
  }

  /** Frames that the film has by its header. */
  get frameCount() {
    return Math.max(1, Math.round(this.film.seconds * this.rate));
  }

  /** Beginning of the frame that is shown, seconds. */
  get time() {
    return this.frameIndex / this.rate;
  }

  /** Number of the frame that is shown. */
  get frameIndex() {
    const seconds = this.playing ? this.video.currentTime : this.position;
    return Math.min(this.frameCount - 1, Math.max(0, Math.floor(seconds * this.rate + 1e-3)));
  }

  /** Whether the frame of the playhead is still on its way to the picture. */
  get seeking() {
    return this.frames ? !this.still.complete : this.video.seeking;
  }

  get playing() {
    return !this.frames && !this.video.paused;
  }

  /** Go to a time in seconds; the middle of its frame is what the browser shows surely. */
  seek(seconds) {
    const frame = Math.min(this.frameCount - 1, Math.max(0, Math.floor(seconds * this.rate + 1e-3)));
    this.position = (frame + 0.5) / this.rate;
    if (this.frames) this.#showStill();
    else if (this.video.readyState > 0) this.video.currentTime = this.position;
    this.dispatchEvent(new Event("time"));
  }

  /** Go some frames on or back. */
  step(frames) {
    this.pause();
    this.seek((this.frameIndex + frames + 0.5) / this.rate);
  }

  /** Play, up to a time in seconds if one is given; or pause. */
  toggle(stopAt = Infinity) {
    if (this.frames) return;
    this.stopAt = stopAt;
    if (this.video.paused) this.#play();
    else this.pause();
  }

  /** Pause. */
  pause() {
    if (this.frames || this.video.paused) return;
    this.position = this.video.currentTime;
    this.video.pause();
  }

  /** Play; a film that is still loading plays when it is there. */
  #play() {
    if (this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) this.video.play().catch(() => {});
    else this.video.addEventListener("loadeddata", () => this.#play(), { once: true });
  }

  #follow() {
    const tick = () => {
      if (this.video.paused) return;
      this.position = this.video.currentTime;
      if (this.position >= this.stopAt) this.pause();
      this.dispatchEvent(new Event("time"));
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  #showStills() {
    if (!this.film || this.frames) return;
    this.frames = true;
    this.video.hidden = true;
    this.still.hidden = false;
    this.#showStill();
    this.dispatchEvent(new Event("still"));
  }

  #showStill() {
    this.still.src = `frame/${this.film.index}.jpg?time=${this.position.toFixed(4)}`;
  }
}
