/** Where errors count more in the loss: the subject's own pixels, or the upright box around them. */
export type EmphasisRegion = 'silhouette' | 'box';

/** Steps `first` to `last`, in which something has a weight. */
export interface WeightWindow {
  readonly first: number;
  readonly last: number;
  readonly weight: number;
}

/** Steps in which errors in a region count 1 + weight times. */
export interface SubjectWindow extends WeightWindow {
  readonly region: EmphasisRegion;
}

export interface LatentSizes {
  /** Pictures. */
  readonly n: number;
  /** Of the pictures, pixels. */
  readonly side: number;
  readonly downscale: number;
  readonly channels: number;
}

/** Shares below this, of a pixel, are no part of a box. */
const LEAST_SHARE = 0.5;

/** The subject's shares [n, side, side, 3] by cell, its pixels row by row: [n, w, w, downscale²]. */
export function silhouettes(subject: Float32Array, { n, side, downscale }: LatentSizes): Float32Array {
  const width = side / downscale;
  const out = new Float32Array(n * side * side);
  for (let pixel = 0; pixel < out.length; pixel++) {
    const [x, y, i] = [pixel % side, Math.floor(pixel / side) % side, Math.floor(pixel / (side * side))];
    const cell = (i * width + Math.floor(y / downscale)) * width + Math.floor(x / downscale);
    out[(cell * downscale + (y % downscale)) * downscale + (x % downscale)] = subject[3 * pixel]!;
  }
  return out;
}

/** The mean of the subject's shares over the pixels of each latent cell, [n · w · w]. */
function cellShares(subject: Float32Array, sizes: LatentSizes): Float32Array {
  const each = sizes.downscale ** 2;
  const cells = silhouettes(subject, sizes);
  return Float32Array.from({ length: cells.length / each }, (_, cell) => {
    const sum = cells.subarray(cell * each, (cell + 1) * each).reduce((total, share) => total + share, 0);
    return sum / each;
  });
}

/** 1 for the cells that the box around a subject touches, 0 for the others, [n · w · w]; all 0 where there is no subject. */
function boxShares(subject: Float32Array, { n, side, downscale }: LatentSizes): Float32Array {
  const width = side / downscale;
  const out = new Float32Array(n * width * width);
  for (let i = 0; i < n; i++) {
    let [left, top, right, bottom] = [side, side, -1, -1];
    for (let pixel = 0; pixel < side * side; pixel++) {
      if (subject[3 * (i * side * side + pixel)]! < LEAST_SHARE) continue;
      const [x, y] = [pixel % side, Math.floor(pixel / side)];
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
    if (right < 0) continue;
    const [x0, x1] = [Math.floor(left / downscale), Math.floor(right / downscale)];
    for (let y = Math.floor(top / downscale); y <= Math.floor(bottom / downscale); y++)
      out.fill(1, (i * width + y) * width + x0, (i * width + y) * width + x1 + 1);
  }
  return out;
}

/**
 * What errors of the latents are raised by, so that their squares count 1 + weight · share times: [n, w, w, channels].
 * @param subject how much of each value of the pictures is the subject, 0…1, [n, side, side, 3]
 * @param window none: 0 everywhere
 */
export function emphasis(subject: Float32Array, window: SubjectWindow | undefined, sizes: LatentSizes): Float32Array {
  const { n, side, downscale, channels } = sizes;
  const out = new Float32Array(n * (side / downscale) ** 2 * channels);
  if (!window) return out;
  const shares = window.region === 'box' ? boxShares(subject, sizes) : cellShares(subject, sizes);
  shares.forEach((share, cell) => {
    out.fill(Math.sqrt(1 + window.weight * share) - 1, cell * channels, (cell + 1) * channels);
  });
  return out;
}

/** The window that a step lies in. */
export function windowAt<W extends WeightWindow>(windows: readonly W[], step: number): W | undefined {
  return windows.find(({ first, last }) => first <= step && step <= last);
}
