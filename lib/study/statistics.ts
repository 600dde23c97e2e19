// Comparison at equal fidelity, and how sure it is.
import { uniformDraws } from '../random/hash.js';
import type { StudyPoint } from './results.js';

/** Share of the best fidelity of plain LoRA at which methods are compared. */
export const MATCHED_SHARE = 0.95;

/** The fidelity at which methods are compared: 5 % less than the best. Fidelity is a cosine and may be below 0; the best reaches it there too. */
export function matchedFidelity(best: number): number {
  return best - (1 - MATCHED_SHARE) * Math.abs(best);
}

/**
 * Alignment at a fidelity: along the points of a run in the order of their steps, between the last one below and the first one at or above it.
 * @returns null if the run never gets there
 */
export function alignmentAt(points: readonly StudyPoint[], fidelity: number): number | null {
  const at = points.findIndex((point) => point.fidelity >= fidelity);
  if (at < 0) return null;
  const after = points[at]!;
  const before = points[at - 1];
  if (before === undefined) return after.alignment;
  const share = (fidelity - before.fidelity) / (after.fidelity - before.fidelity);
  return before.alignment + share * (after.alignment - before.alignment);
}

/** A difference of one concept and one seed. */
export interface PairedDifference {
  readonly concept: number;
  readonly seed: number;
  readonly difference: number;
}

export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Differences grouped by concept. */
function byConcept(differences: readonly PairedDifference[]): number[][] {
  const groups = new Map<number, number[]>();
  for (const { concept, difference } of differences) groups.set(concept, [...(groups.get(concept) ?? []), difference]);
  return [...groups.values()];
}

/**
 * Mean over concepts of the means over their seeds, with a 95 % interval of the hierarchical bootstrap: concepts are drawn with repetition, then
 * seeds within each.
 * @param draws of the bootstrap
 */
export function bootstrapMean(differences: readonly PairedDifference[], draws = 10_000, seed = 1): Interval {
  const groups = byConcept(differences);
  const draw = uniformDraws(seed, 0x5000);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(draw() * values.length)]!;
  const means = Array.from({ length: draws }, () => {
    let sum = 0;
    for (let i = 0; i < groups.length; i++) {
      const group = pick(groups);
      let own = 0;
      for (let j = 0; j < group.length; j++) own += pick(group);
      sum += own / group.length;
    }
    return sum / groups.length;
  }).sort((a, b) => a - b);
  const at = (share: number): number => means[Math.min(draws - 1, Math.floor(share * draws))]!;
  return { mean: mean(groups.map(mean)), low: at(0.025), high: at(0.975) };
}

/** Places in the order of the values, from 0; equal values share the mean of theirs. */
function places(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length;
    const equal = values.filter((other) => other === value).length;
    return below + (equal - 1) / 2;
  });
}

/** Spearman's rank correlation; NaN if all of one side are equal. */
export function spearman(xs: readonly number[], ys: readonly number[]): number {
  const [a, b] = [places(xs), places(ys)];
  const [ma, mb] = [mean(a), mean(b)];
  const products = (one: readonly number[], mOne: number, other: readonly number[], mOther: number): number =>
    one.reduce((sum, value, i) => sum + (value - mOne) * (other[i]! - mOther), 0);
  return products(a, ma, b, mb) / Math.sqrt(products(a, ma, a, ma) * products(b, mb, b, mb));
}
