// When a run begins to copy its picture, and which of its checkpoints is the best: rules over watched figures.

/** Parts of equal width into which the timesteps are cut, from little noise to much. */
export const WATCH_BANDS = 5;

/** A run copies once it has gone this far from the model without adapters (0) to the training picture itself (1). */
export const COPYING = 0.5;

/** What is measured: with fixed noise, so that figures of different steps can be compared. */
export interface WatchFigures {
  /** Mean squared error of each band of timesteps. */
  readonly losses: readonly number[];
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
 * - 1 − loss / loss without adapters, in the band of most noise. There the noisy picture shows next to nothing of the layout, so
 *   what is predicted of it is known by heart;
 * - 1 − distance / distance without adapters, of pictures that are made, if any are.
 */
export function copyScore(now: WatchFigures, without: WatchFigures): number {
  const byLoss = 1 - now.losses.at(-1)! / without.losses.at(-1)!;
  const byPictures = now.distance === null || without.distance === null ? 0 : 1 - now.distance / without.distance;
  return Math.max(0, byLoss, byPictures);
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
