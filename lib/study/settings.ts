import type { AdapterVariant } from '../adapters/adapterSpec.js';

/** What a study compares. */
export interface StudySettings {
  readonly concepts: readonly number[];
  /** Training seeds 1 … n of each concept. */
  readonly seeds: number;
  readonly variants: readonly AdapterVariant[];
  readonly ranks: readonly number[];
  readonly steps: number;
  /** Times at which a run is judged, evenly spaced, the last one at its end. */
  readonly checkpoints: number;
  readonly learningRates: Readonly<Record<AdapterVariant, number>>;
  readonly samplerSteps: number;
  readonly guidance: number;
}

/** Three creatures and three objects of the tables, at two ranks. */
export const STUDY_SETTINGS: StudySettings = {
  concepts: [0, 1, 2, 13, 14, 15],
  seeds: 2,
  variants: ['lora', 'vanilla', 'ortho', 'tlora'],
  ranks: [8, 32],
  steps: 400,
  checkpoints: 4,
  learningRates: { lora: 1e-3, vanilla: 1e-3, ortho: 2e-3, tlora: 2e-3 },
  samplerSteps: 13,
  guidance: 5,
};

/** One run of the study. */
export interface StudyUnit {
  readonly concept: number;
  readonly seed: number;
  readonly variant: AdapterVariant;
  readonly rank: number;
}

/** All runs, concept by concept, so that a part of the study is a study of fewer concepts. */
export function studyUnits({ concepts, seeds, variants, ranks }: StudySettings): StudyUnit[] {
  return concepts.flatMap((concept) =>
    Array.from({ length: seeds }, (_, i) => i + 1).flatMap((seed) =>
      ranks.flatMap((rank) => variants.map((variant) => ({ concept, seed, variant, rank }))),
    ),
  );
}

/** Steps after which a run is judged. */
export function judgedSteps({ steps, checkpoints }: Pick<StudySettings, 'steps' | 'checkpoints'>): number[] {
  return Array.from({ length: checkpoints }, (_, i) => Math.round(((i + 1) * steps) / checkpoints));
}
