import type { AdapterVariant } from '../adapters/adapterSpec.js';
import type { StudyFigures, StudyPoint, StudyResult, StudyResults } from './results.js';
import {
  alignmentAt,
  bootstrapMean,
  type Interval,
  matchedFidelity,
  type PairedDifference,
  spearman,
} from './statistics.js';

/** A run with its start: the model without an adapter. */
interface Curve extends StudyResult {
  readonly curve: readonly StudyPoint[];
  /** Alignment of the training picture itself, with which any fidelity can be had. */
  readonly pastedAlignment: number;
}

function curves({ runs, bounds }: StudyResults): Curve[] {
  return runs.flatMap((run) => {
    const own = bounds.find(({ concept }) => concept === run.concept);
    if (!own) return [];
    return [
      {
        ...run,
        curve: [{ step: 0, copyScore: 0, ...own.floor }, ...run.points],
        pastedAlignment: own.pasted.alignment,
      },
    ];
  });
}

/** Two methods at one rank, over all concepts and seeds that both have. */
export interface Comparison {
  readonly variant: AdapterVariant;
  readonly against: AdapterVariant;
  readonly rank: number;
  readonly pairs: number;
  /** Difference of alignment at equal fidelity. */
  readonly matched: Interval;
  /** Runs that never reach the fidelity, of either method. They count with the alignment of the training picture itself. */
  readonly missed: { readonly variant: number; readonly against: number };
  /** Differences at the last step. */
  readonly final: { readonly alignment: Interval; readonly fidelity: Interval; readonly leak: Interval };
}

const leakOf = ({ leakBackground, leakPosition }: StudyPoint): number => (leakBackground + leakPosition) / 2;

/** Compares two methods; null if no concept and seed has both, and plain LoRA for the fidelity to compare at. */
export function compare(
  results: StudyResults,
  variant: AdapterVariant,
  against: AdapterVariant,
  rank: number,
): Comparison | null {
  const all = curves(results).filter((run) => run.rank === rank);
  const of = (name: AdapterVariant, { concept, seed }: Curve): Curve | undefined =>
    all.find((run) => run.variant === name && run.concept === concept && run.seed === seed);
  const pairs = all.flatMap((lora) => {
    const [one, other] = lora.variant === 'lora' ? [of(variant, lora), of(against, lora)] : [];
    return one && other ? [{ lora, one, other }] : [];
  });
  if (pairs.length === 0) return null;
  const missed = { variant: 0, against: 0 };
  const reached = (run: Curve, fidelity: number, side: keyof typeof missed): number => {
    const alignment = alignmentAt(run.curve, fidelity);
    if (alignment === null) missed[side]++;
    return alignment ?? run.pastedAlignment;
  };
  const differences = (value: (pair: (typeof pairs)[number]) => number): PairedDifference[] =>
    pairs.map((pair) => ({ concept: pair.lora.concept, seed: pair.lora.seed, difference: value(pair) }));
  const matched = differences(({ lora, one, other }) => {
    const fidelity = matchedFidelity(Math.max(...lora.curve.map((point) => point.fidelity)));
    return reached(one, fidelity, 'variant') - reached(other, fidelity, 'against');
  });
  const final = (value: (point: StudyPoint) => number): Interval =>
    bootstrapMean(differences(({ one, other }) => value(one.curve.at(-1)!) - value(other.curve.at(-1)!)));
  return {
    ...{ variant, against, rank, missed },
    pairs: pairs.length,
    matched: bootstrapMean(matched),
    final: {
      alignment: final(({ alignment }) => alignment),
      fidelity: final(({ fidelity }) => fidelity),
      leak: final(leakOf),
    },
  };
}

/** Figures of a method at a rank at the last step: means over concepts of means over seeds; null without runs. */
export function finalMeans(results: StudyResults, variant: AdapterVariant, rank: number): StudyFigures | null {
  const own = results.runs.filter((run) => run.variant === variant && run.rank === rank);
  const concepts = [...new Set(own.map(({ concept }) => concept))].map((concept) =>
    meanPoint(own.filter((run) => run.concept === concept).map((run) => run.points.at(-1)!)),
  );
  return concepts.length === 0 ? null : meanPoint(concepts);
}

/** The mean of each figure. */
export function meanPoint(points: readonly StudyFigures[]): StudyFigures {
  const mean = (of: keyof StudyFigures): number => points.reduce((sum, point) => sum + point[of], 0) / points.length;
  return {
    fidelity: mean('fidelity'),
    alignment: mean('alignment'),
    leakBackground: mean('leakBackground'),
    leakPosition: mean('leakPosition'),
    copies: mean('copies'),
  };
}

/** How well the overfit meter's copy score orders all checkpoints by what the evaluators see: rank correlations. */
export interface MeterAgreement {
  readonly checkpoints: number;
  readonly leak: number;
  readonly copies: number;
  readonly alignment: number;
}

export function meterAgreement({ runs }: StudyResults): MeterAgreement {
  const points = runs.flatMap((run) => run.points);
  const scores = points.map(({ copyScore }) => copyScore);
  const against = (of: (point: StudyPoint) => number): number => spearman(scores, points.map(of));
  return {
    checkpoints: points.length,
    leak: against(leakOf),
    copies: against(({ copies }) => copies),
    alignment: against(({ alignment }) => alignment),
  };
}

/** Checkpoints whose copy scores lie in one tenth, and the mean share of near-copies among their pictures. */
export interface ScoredCopies {
  /** Least score of the tenth. */
  readonly from: number;
  readonly checkpoints: number;
  readonly copies: number;
}

/** Near-copies by tenths of the copy score, of those tenths that any checkpoint has. */
export function copiesByScore({ runs }: StudyResults): ScoredCopies[] {
  const points = runs.flatMap((run) => run.points);
  return Array.from({ length: 10 }, (_, i) => {
    const own = points.filter(({ copyScore }) => Math.min(9, Math.floor(copyScore * 10)) === i);
    return {
      from: i / 10,
      checkpoints: own.length,
      copies: own.reduce((sum, { copies }) => sum + copies, 0) / own.length,
    };
  }).filter(({ checkpoints }) => checkpoints > 0);
}
