// When a run begins to copy its picture, and which of its checkpoints is the best: rules over watched figures.

/** Parts of equal width into which the timesteps are cut, from little noise to much. */
export const WATCH_BANDS = 5;

/** A run copies once it has gone this far from the model without adapters (0) to the training picture itself (1). */
export const COPYING = 0.4;

/** What is measured: with fixed noise, so that figures of different steps can be compared. */
export interface WatchFigures {
  /** Mean squared error of each band of timesteps. */
  readonly losses: readonly number[];
  /** Mean square of what the predictions from most noise get wrong alike; see `commonSquare`. */
  readonly unknown: number;
  /** Mean distance of the watched pictures to the nearest training picture, in latents; null: no pictures are made. */
  readonly distance: number | null;
}

/** Figures of one step beside those of the model without adapters. */
export interface WatchRecord extends WatchFigures {
  /** Steps finished. */
  readonly step: number;
  /** `losses` as shares of those without adapters. */
  readonly shares: readonly number[];
  /** How far the run has gone to copying, 0…1; see `copyScore`. */
  readonly copy: number;
}

/** What the records of a run say. */
export interface WatchVerdict {
  /** Step of the best checkpoint; null before the first record. */
  readonly best: number | null;
  /** First step at which the run copies; null: not yet. */
  readonly copyingFrom: number | null;
}

/**
 * How much of the way to a copy is gone: the larger of
 * - 1 − unknown / unknown without adapters. In the band of most noise the noisy picture shows next to nothing of the layout, so what is
 *   predicted of it is known by heart;
 * - 1 − distance / distance without adapters, of pictures that are made, if any are.
 */
export function copyScore(now: WatchFigures, without: WatchFigures): number {
  const byHeart = without.unknown > 0 ? 1 - now.unknown / without.unknown : 0;
  const byPictures = now.distance === null || without.distance === null ? 0 : 1 - now.distance / without.distance;
  return Math.min(1, Math.max(0, byHeart, byPictures));
}

/** A prediction's error, noise or velocity. */
export interface PictureError {
  /** Of which training picture. */
  readonly picture: number;
  readonly values: Float32Array;
}

/**
 * Mean square of the part that errors of the same picture have in common: the mean product of two different ones, unbiased. What a model gets
 * wrong because it does not know the picture is the same whatever the noise; what it gets wrong because it is not exact differs, and cancels.
 */
export function commonSquare(errors: readonly PictureError[]): number {
  let [sum, pairs] = [0, 0];
  errors.forEach((one, i) => {
    for (const other of errors.slice(i + 1)) {
      if (other.picture !== one.picture) continue;
      sum += one.values.reduce((products, value, k) => products + value * other.values[k]!, 0) / one.values.length;
      pairs++;
    }
  });
  return sum / pairs;
}

/** One pass of a measurement. */
export interface WatchedDraw {
  readonly band: number;
  readonly t: number;
  readonly picture: number;
}

/**
 * All passes of a measurement: `draws` timesteps in each band, evenly spread, the pictures in turn; in the band of most noise as many of
 * every picture, and two at least, so that their errors can be compared.
 */
export function watchedDraws(T: number, draws: number, pictures: number): WatchedDraw[] {
  const inBand = (band: number, count: number, i: number): number =>
    Math.floor(((band + (i + 0.5) / count) * T) / WATCH_BANDS);
  const all: WatchedDraw[] = [];
  for (let band = 0; band < WATCH_BANDS - 1; band++) {
    for (let i = 0; i < draws; i++) all.push({ band, t: inBand(band, draws, i), picture: all.length % pictures });
  }
  const [last, count] = [WATCH_BANDS - 1, Math.max(2, draws)];
  for (let picture = 0; picture < pictures; picture++) {
    for (let i = 0; i < count; i++) all.push({ band: last, t: inBand(last, count, i), picture });
  }
  return all;
}

export function watchRecord(step: number, now: WatchFigures, without: WatchFigures): WatchRecord {
  const shares = now.losses.map((loss, band) => loss / without.losses[band]!);
  return { step, ...now, shares, copy: copyScore(now, without) };
}

/** How little is learnt: mean share of the loss that is left in all bands but the noisiest. */
function unlearnt({ shares }: WatchRecord): number {
  const bands = shares.slice(0, -1);
  return bands.reduce((sum, share) => sum + share, 0) / bands.length;
}

/**
 * Copying starts at the first record whose score is at least COPYING. The best checkpoint is the one before that which has learnt most in
 * the bands but the noisiest; if copying starts with the first record, that one.
 * @param records in the order of their steps, without that of step 0; those with infinite figures are passed over
 */
export function watchVerdict(records: readonly WatchRecord[]): WatchVerdict {
  const finite = records.filter((record) => Number.isFinite(record.copy) && record.losses.every(Number.isFinite));
  const start = finite.findIndex(({ copy }) => copy >= COPYING);
  const candidates = start < 0 ? finite : finite.slice(0, Math.max(1, start));
  const best = candidates.reduce<WatchRecord | undefined>(
    (least, record) => (least === undefined || unlearnt(record) < unlearnt(least) ? record : least),
    undefined,
  );
  return { best: best?.step ?? null, copyingFrom: finite[start]?.step ?? null };
}
