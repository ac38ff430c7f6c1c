/** Energy map of a sound field: covariance of W, Y, Z, X over windows, smoothed and scaled as `avssl energy-overlay`. */

/** Directions at which the lowest and the highest energy are looked for. */
const ROWS = 32;

/** Energy of W + u · [Y, Z, X] in a direction (x, y, z), from the ten covariances of W, Y, Z, X. */
export function energyTowards(c, [x, y, z]) {
  return c[0] + 2 * (c[1] * y + c[2] * z + c[3] * x) +
    c[4] * y * y + c[7] * z * z + c[9] * x * x + 2 * (c[5] * y * z + c[6] * y * x + c[8] * z * x);
}

/** Directions at the centres of an equirectangular grid. */
export function sphereGrid(rows = ROWS) {
  const found = [];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < 2 * rows; column++) {
      const elevation = (0.5 - (row + 0.5) / rows) * Math.PI;
      const azimuth = (1 - (column + 0.5) / rows) * Math.PI;
      found.push([Math.cos(azimuth) * Math.cos(elevation), Math.sin(azimuth) * Math.cos(elevation), Math.sin(elevation)]);
    }
  return found;
}

const GRID = sphereGrid();

/** Smooths the energy of windows, and scales it for drawing. */
export class EnergyMap {
  /** @param {object} options `smoothing` a window, and `rangeDb` below the loudest so far that is transparent */
  constructor(options) {
    this.options = options;
    this.reset();
  }

  reset() {
    Object.assign(this, { windows: (this.windows ?? 0) + 1, covariance: null, loudest: 1e-12, low: 0, high: 0, presence: 0 });
  }

  /** Add the ten covariances of a window. */
  add(values) {
    const { smoothing, rangeDb } = this.options;
    this.windows++;
    this.covariance = this.covariance === null ? values :
      values.map((value, index) => smoothing * this.covariance[index] + (1 - smoothing) * value);
    const energy = GRID.map((direction) => energyTowards(this.covariance, direction));
    this.low = Math.min(...energy);
    this.high = Math.max(...energy);
    this.peak = GRID[energy.indexOf(this.high)];
    this.loudest = Math.max(this.loudest, this.high);
    const level = 10 * Math.log10(Math.max(this.high, 1e-12) / this.loudest);
    this.presence = Math.min(1, Math.max(0, 1 + level / rangeDb));
  }

  /** Covariances as a 4 x 4 matrix whose quadratic form over (1, y, z, x) is 0 at the lowest and 1 at the highest. */
  matrix() {
    const c = this.covariance ?? new Array(10).fill(0);
    const scale = 1 / Math.max(this.high - this.low, 1e-12);
    const [ww, wy, wz, wx, yy, yz, yx, zz, zx, xx] = c.map((value) => value * scale);
    return [ww - this.low * scale, wy, wz, wx, wy, yy, yz, yx, wz, yz, zz, zx, wx, yx, zx, xx];
  }
}
