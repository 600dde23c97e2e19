import { uniformDraws } from '../random/hash.js';
import { SIDE } from '../world/canvas.js';

/** What a picture that was not rendered may look like, for pictures in −1…1. */
export interface Distortion {
  /** Standard deviation of noise on every value. */
  readonly noise: number;
  /** Share of the picture that is its 3×3 binomial mean, 0…1. */
  readonly blur: number;
}

const NOISE_STREAM = 0x5000;

/** The binomial mean [1 2 1]/4 along one axis, edges repeated. `step` floats lie between neighbours. */
function smoothed(from: Float32Array, step: number, lines: (at: number) => number): Float32Array {
  const out = new Float32Array(from.length);
  for (let i = 0; i < from.length; i++) {
    const at = lines(i);
    const before = at === 0 ? i : i - step;
    const after = at === SIDE - 1 ? i : i + step;
    out[i] = 0.25 * from[before]! + 0.5 * from[i]! + 0.25 * from[after]!;
  }
  return out;
}

/**
 * A picture [64, 64, 3] in −1…1, blurred, then noised, in place.
 * @param seed of the noise
 */
export function distort(picture: Float32Array, { noise, blur }: Distortion, seed: number): void {
  if (blur > 0) {
    const across = smoothed(picture, 3, (i) => Math.floor(i / 3) % SIDE);
    const mean = smoothed(across, 3 * SIDE, (i) => Math.floor(i / (3 * SIDE)));
    for (let i = 0; i < picture.length; i++) picture[i] = picture[i]! + blur * (mean[i]! - picture[i]!);
  }
  if (noise === 0) return;
  const draw = uniformDraws(seed, NOISE_STREAM);
  for (let i = 0; i < picture.length; i += 2) {
    const radius = noise * Math.sqrt(-2 * Math.log(1 - draw()));
    const angle = 2 * Math.PI * draw();
    picture[i] = picture[i]! + radius * Math.cos(angle);
    if (i + 1 < picture.length) picture[i + 1] = picture[i + 1]! + radius * Math.sin(angle);
  }
}
