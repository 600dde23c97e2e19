// How near pictures are to the one that was trained on.

/** A picture [64, 64, 3] in −1…1, and which of its pixels are the subject's, 0…255, if that is known. */
export interface MaskedPicture {
  readonly image: Float32Array;
  readonly alpha?: Uint8Array | undefined;
}

/** Root of the mean squared difference, in levels of 255; with a mask, over the pixels of the mask by their weights. */
export function pictureDistance(a: Float32Array, b: Float32Array, mask?: Uint8Array): number {
  let [sum, weight] = [0, 0];
  for (let pixel = 0; pixel * 3 < a.length; pixel++) {
    const share = mask === undefined ? 1 : mask[pixel]! / 255;
    if (share === 0) continue;
    for (let i = 3 * pixel; i < 3 * pixel + 3; i++) sum += share * (a[i]! - b[i]!) ** 2;
    weight += 3 * share;
  }
  return weight === 0 ? 0 : 127.5 * Math.sqrt(sum / weight);
}

/** The value that a share of values lies below: the smallest at 0, with whole steps between. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

/** Distances of every view to every other, each in the mask of the other if asked for. */
function betweenViews(views: readonly MaskedPicture[], masked: boolean): number[] {
  return views.flatMap((one, i) =>
    views.flatMap((other, j) => {
      if (masked ? i === j : j <= i) return [];
      return [pictureDistance(one.image, other.image, masked ? other.alpha : undefined)];
    }),
  );
}

/** Pictures below the first percentile of distances between views of the same thing are copies. */
const COPY_SHARE = 0.01;

/** Distances to the training picture. */
export interface CopyFigures {
  /** Smallest distance of any picture, levels of 255. */
  readonly nearest: number;
  /** Share of pictures nearer than all but 1 % of pairs of views of the subject are to each other; null without views. */
  readonly share: number | null;
  /** The limit below which a picture counts as a copy; null without views. */
  readonly limit: number | null;
}

/**
 * The distance below which a picture counts as a copy; null where there are no two views to compare.
 * @param masked compares only the pixels that the subject covers in one of the two views
 */
export function copyLimit(views: readonly MaskedPicture[], masked: boolean): number | null {
  return views.length < 2 ? null : percentile(betweenViews(views, masked), COPY_SHARE);
}

/**
 * Near-copies of the training picture among pictures.
 * @param limit what `copyLimit` gives for other true views
 * @param masked compares only the pixels that the subject covers in the training picture, which must then have a mask
 */
export function copyFigures(
  pictures: readonly Float32Array[],
  training: MaskedPicture,
  limit: number | null,
  masked: boolean,
): CopyFigures {
  const mask = masked ? training.alpha : undefined;
  const distances = pictures.map((picture) => pictureDistance(picture, training.image, mask));
  const nearest = Math.min(...distances);
  if (limit === null) return { nearest, share: null, limit: null };
  return { nearest, limit, share: distances.filter((distance) => distance < limit).length / distances.length };
}
