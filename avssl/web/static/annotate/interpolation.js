/** Boxes between key frames; edges are left, top, right, bottom in 0..1 of the frame. */

/**
 * Box of a segment at an instant: linear between key frames, at rest before the first and after the last.
 * @param {{time: number, box: number[]}[]} frames key frames in the order of time, seconds
 * @param {number} time seconds
 * @returns {number[] | null} null where there are no key frames
 */
export function boxAt(frames, time) {
  if (!frames.length) return null;
  const after = frames.findIndex((frame) => frame.time >= time);
  if (after === 0) return [...frames[0].box];
  if (after < 0) return [...frames[frames.length - 1].box];
  const [one, other] = [frames[after - 1], frames[after]];
  const share = (time - one.time) / (other.time - one.time);
  return one.box.map((edge, at) => edge + share * (other.box[at] - edge));
}

/**
 * Key frames with one more, or one replaced at the same frame of the film.
 * @param {{time: number, box: number[]}[]} frames key frames
 * @param {number} time seconds
 * @param {number[]} box its edges
 * @param {number} slack seconds within which two times are one frame
 */
export function withKeyFrame(frames, time, box, slack) {
  const others = withoutKeyFrame(frames, time, slack);
  return [...others, { time, box }].sort((one, other) => one.time - other.time);
}

/** Key frames without the one at a frame of the film; see `withKeyFrame`. */
export function withoutKeyFrame(frames, time, slack) {
  return frames.filter((frame) => Math.abs(frame.time - time) > slack);
}

/**
 * A box within the frame, of some width and height, with edges in order.
 * @param {number[]} box left, top, right, bottom
 */
export function tidy(box) {
  const inside = box.map((edge) => Math.min(1, Math.max(0, edge)));
  let [left, right] = [Math.min(inside[0], inside[2]), Math.max(inside[0], inside[2])];
  let [top, bottom] = [Math.min(inside[1], inside[3]), Math.max(inside[1], inside[3])];
  left = Math.min(left, 1 - LEAST);
  top = Math.min(top, 1 - LEAST);
  right = Math.max(right, left + LEAST);
  bottom = Math.max(bottom, top + LEAST);
  return [left, top, right, bottom].map((edge) => Math.round(edge * 1e5) / 1e5);
}

const LEAST = 0.002;
