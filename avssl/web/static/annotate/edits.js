/**
 * Edits on their way to the server: in order, tried again until it has answered, and kept in the browser's storage
 * until then, so that neither a crash of the page nor one of the server loses any.
 */

import { post } from "../post.js";

const RETRY = 800; // ms

export class EditQueue {
  /**
   * @param {string} name of the browser's storage
   * @param {(waiting: number, reached: boolean) => void} onState called when edits wait or are saved
   * @param {(edit: object, answer: {ok: boolean, content: object | string}) => void} onAnswer called with each answer
   */
  constructor(name, onState, onAnswer) {
    this.name = `avssl-annotate:${name}`;
    this.onState = onState;
    this.onAnswer = onAnswer;
    this.waiting = this.#stored();
    this.running = null;
  }

  /** Add an edit: an object with id and kind (edit, undo, redo), an edit's with change and expected. */
  add(edit) {
    this.waiting.push(edit);
    this.#store();
    this.send();
  }

  /** Send what waits; resolves when all is answered. */
  send() {
    this.running ??= this.#sendAll().finally(() => { this.running = null; });
    return this.running;
  }

  async #sendAll() {
    this.onState(this.waiting.length, true);
    while (this.waiting.length) {
      const answer = await post(this.waiting[0].kind, this.waiting[0]);
      if (answer === null) {
        this.onState(this.waiting.length, false);
        await new Promise((resolve) => setTimeout(resolve, RETRY));
        continue;
      }
      const edit = this.waiting.shift();
      this.#store();
      await this.onAnswer(edit, answer);
      this.onState(this.waiting.length, true);
    }
  }

  #stored() {
    try {
      return JSON.parse(localStorage.getItem(this.name) ?? "[]");
    } catch {
      return [];
    }
  }

  #store() {
    try {
      if (this.waiting.length) localStorage.setItem(this.name, JSON.stringify(this.waiting));
      else localStorage.removeItem(this.name);
    } catch {
      // storage is full or refused: the edits wait in the page alone
    }
  }
}
