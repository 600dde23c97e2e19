interface Size {
  width: number;
  height: number;
}

/** The inputs that one output is made of, and their weights, which sum to 1. */
interface Taps {
  first: number;
  weights: Float64Array;
}

const LOBES = 3;
const CHANNELS = 3;

/**
 * Resamples [height, width, 3] 8-bit pixels with the Lanczos kernel of three lobes, sinc(x)·sinc(x/3), widened by the
 * scale when shrinking; across first, then down, rounded to 8 bits after each, which is Pillow's LANCZOS. sharp is not
 * asked to do it because it enlarges with a cubic kernel.
 */
export function resampleLanczos(pixels: Uint8Array, from: Size, to: Size): Uint8Array<ArrayBuffer> {
  const across = resampleAcross(pixels, from, tapsOf(from.width, to.width));
  return resampleDown(across, to.width * CHANNELS, tapsOf(from.height, to.height));
}

function tapsOf(from: number, to: number): Taps[] {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - LOBES * stretch + 0.5));
    const end = Math.min(from, Math.floor(centre + LOBES * stretch + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, j) => kernel((first + j + 0.5 - centre) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

function kernel(x: number): number {
  return Math.abs(x) < LOBES ? sinc(x) * sinc(x / LOBES) : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Stores to a clamped array round to the nearest level and cut to 0…255. */
function resampleAcross(pixels: Uint8Array, from: Size, taps: readonly Taps[]): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(from.height * taps.length * CHANNELS);
  let at = 0;
  for (let y = 0; y < from.height; y++) {
    for (const { first, weights } of taps) {
      let [red, green, blue] = [0, 0, 0];
      for (let j = 0, p = (y * from.width + first) * CHANNELS; j < weights.length; j++, p += CHANNELS) {
        const weight = weights[j]!;
        red += weight * pixels[p]!;
        green += weight * pixels[p + 1]!;
        blue += weight * pixels[p + 2]!;
      }
      out[at++] = red;
      out[at++] = green;
      out[at++] = blue;
    }
  }
  return out;
}

function resampleDown(pixels: Uint8ClampedArray, rowLength: number, taps: readonly Taps[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8ClampedArray(taps.length * rowLength);
  const sums = new Float64Array(rowLength);
  taps.forEach(({ first, weights }, y) => {
    sums.fill(0);
    for (let j = 0; j < weights.length; j++) {
      const weight = weights[j]!;
      const row = (first + j) * rowLength;
      for (let x = 0; x < rowLength; x++) sums[x]! += weight * pixels[row + x]!;
    }
    out.set(sums, y * rowLength);
  });
  return new Uint8Array(out.buffer);
}
