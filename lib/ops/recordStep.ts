import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape, expectThat } from '../graph/shapes.js';

/** Places of the header of `steps`; rows of STEP_ROW follow from STEP_HEADER on. */
export const STEP_HEADER = 8;
/** 0 and 1/scale, side by side: the coefficients with which `accumulate` takes the scale out of the gradients. */
export const STEP_UNSCALE = 0;
/** Factor on the loss in the backward pass, a power of two. */
export const STEP_SCALE = 2;
/** Finite steps since the scale last changed. */
export const STEP_GOOD = 3;
/** 0, or NaN from the first step on that cannot be repaired. */
export const STEP_FAILED = 4;
/** Rows written since the host last set it to 0. */
export const STEP_COUNT = 5;
/** Steps applied so far: those that AdamW's bias corrections count. */
export const STEP_APPLIED = 6;
/** A row: loss, norm, scale, and 1 where the step was skipped; then the losses of the samples, if they are given. */
export const STEP_ROW = 4;
/** The scale grows no further. */
export const LARGEST_SCALE: number = 2 ** 24;

/**
 * Judges one optimizer step and writes it down, in place on steps [8 + rows · (4 + samples)] f32. Finite loss and norm: verdict 0; with
 * `growthInterval` > 0 the scale doubles after so many of these. A norm that is not finite halves the scale, down to 1, if
 * growthInterval > 0, and else, like any loss that is not finite, it fails this step and all after it. verdict [1] is NaN for a step
 * that must not be applied.
 */
export const recordStepOp: Op = { name: 'recordStep', attrs: ['growthInterval'], alias: { 0: 0 }, effect: true };

export interface RecordStepInputs {
  steps: Value;
  /** [1] */
  loss: Value;
  /** [1] */
  norm: Value;
  /** Of each sample, [samples]; null: they are not written down. */
  losses: Value | null;
}

/** @returns the verdict, which `adamw` takes in the place of the loss */
export function recordStep(
  { steps, loss, norm, losses }: RecordStepInputs,
  { growthInterval }: { growthInterval: number },
): Value {
  expectDType('recordStep', 'steps', steps, 'f32');
  if (losses) expectRank('recordStep', 'losses', losses, 1);
  const row = STEP_ROW + (losses?.shape[0] ?? 0);
  const size = steps.shape[0] ?? 0;
  const fits = steps.shape.length === 1 && size > STEP_HEADER && (size - STEP_HEADER) % row === 0;
  expectThat(fits, 'recordStep', 'shape of steps', `[8 + rows · ${row}]`, `[${steps.shape}]`, steps);
  expectShape('recordStep', 'loss', loss, [1]);
  expectShape('recordStep', 'norm', norm, [1]);
  const outputs = [
    { name: 'steps', shape: steps.shape, dtype: 'f32' as const },
    { name: 'verdict', shape: [1], dtype: 'f32' as const },
  ];
  return addNode(steps.graph, recordStepOp, [steps, loss, norm, losses], outputs, { growthInterval }).outputs[1]!;
}
