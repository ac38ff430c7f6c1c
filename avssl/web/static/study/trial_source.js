/** Film and sound of one trial, as the player reads them. */

import { ServedSource } from "../play/film_source.js";

export class TrialSource extends ServedSource {
  /** @param {string} code of the participant @param {number} trial number of the trial, from 0 */
  constructor(code, trial) {
    super(0);
    this.base = `participants/${code}/${trial}`;
  }
}
