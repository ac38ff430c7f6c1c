/**
 * Rotations of views. Axes are x (front), y (left), z (up); matrices are nine numbers, row by row; angles are radians,
 * azimuth to the left is positive.
 */

/** Largest pitch of a view, radians. */
export const STEEPEST = Math.PI / 2;

/** Matrix Rz(yaw) Ry(-pitch) Rx(roll): axes of a view as columns; as `rotation` of avssl.spatial.ambisonics. */
export function rotationMatrix(yaw, pitch, roll) {
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const [cr, sr] = [Math.cos(roll), Math.sin(roll)];
  return [
    cy * cp, -sy * cr - cy * sp * sr, sy * sr - cy * sp * cr,
    sy * cp, cy * cr - sy * sp * sr, -cy * sr - sy * sp * cr,
    sp, cp * sr, cp * cr,
  ];
}

/** Transposed matrix, the inverse of a rotation. */
export function transposed(m) {
  return [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];
}

/** Matrix times vector. */
export function turned(m, v) {
  return [0, 3, 6].map((row) => m[row] * v[0] + m[row + 1] * v[1] + m[row + 2] * v[2]);
}

/** Axes of a view from a WebXR orientation (quaternion; right, up and backwards are positive there). */
export function matrixOfOrientation({ x, y, z, w }) {
  const right = [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)];
  const up = [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)];
  const back = [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)];
  const [front, left, top] = [negative(back), negative(right), up].map(fromHeadset);
  return [front[0], left[0], top[0], front[1], left[1], top[1], front[2], left[2], top[2]];
}

/** Azimuth and elevation of a direction, radians. */
export function anglesOf([x, y, z]) {
  return [Math.atan2(y, x), Math.atan2(z, Math.hypot(x, y))];
}

function negative(v) {
  return v.map((each) => -each);
}

/** A vector in axes right, up, back in axes front, left, up. */
function fromHeadset([right, up, back]) {
  return [-back, -right, up];
}
