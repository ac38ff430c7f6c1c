/** Where a film's description, sound, outlines and picture come from: the server, or the exported page itself. */

const FULL_SCALE = 32767;

/** Samples of a block, one Float32Array a channel; see `pack_block` of avssl.web.play.sound_track. */
export function unpackBlock(buffer, channels) {
  const scale = new DataView(buffer).getFloat32(0, true) / FULL_SCALE;
  const whole = new Int16Array(buffer, 4);
  const samples = whole.length / channels;
  return Array.from({ length: channels }, (_, channel) =>
    Float32Array.from(whole.subarray(channel * samples, (channel + 1) * samples), (value) => value * scale));
}

/** Bytes of base64 text, as an ArrayBuffer. */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

/** The server of `avssl play`. */
export class ServedSource {
  /** @param {number} film index of the film */
  constructor(film) {
    this.base = `films/${film}`;
    this.workletUrl = "static/play/mixer_worklet.js";
  }

  films() { return this.#json("films.json"); }

  description() { return this.#json(`${this.base}/film.json`); }

  names() { return this.#json(`${this.base}/names.json`); }

  outlines(segment) { return this.#json(`${this.base}/outlines/${segment}`); }

  async block(track, index, channels, signal) {
    const answer = await this.#answer(`${this.base}/tracks/${track}/${index}`, signal);
    return unpackBlock(await answer.arrayBuffer(), channels);
  }

  async #json(address) { return (await this.#answer(address)).json(); }

  async #answer(address, signal) {
    let answer;
    try {
      answer = await fetch(address, { signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("the server of this page does not answer: it has ended; start avssl play again");
    }
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  }
}

/** The data of an exported page, in elements of type application/json and text/plain. */
export class EmbeddedSource {
  /** @param {object} data content of the element `film-data` */
  constructor(data) {
    this.data = data;
    const worklet = document.getElementById("mixer-worklet").textContent;
    // Chromium loads no worklet from a blob: address of a page that is opened from disk.
    this.workletUrl = `data:text/javascript,${encodeURIComponent(worklet)}`;
  }

  async films() { return [this.data.description.title]; }

  async description() {
    const picture = this.data.picture;
    const pictureUrl = picture ? URL.createObjectURL(new Blob([bytesOf(picture)], { type: "video/mp4" })) : "";
    return { ...this.data.description, pictureUrl };
  }

  async names() { return this.data.names; }

  async outlines(segment) { return this.data.outlines[segment] ?? []; }

  async block(track, index, channels) {
    const blocks = this.data.blocks[track];
    return unpackBlock(bytesOf(blocks[Math.min(index, blocks.length - 1)]), channels);
  }
}
