import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectShape } from '../graph/shapes.js';

/** Order of the eight numbers of `hyper`; the bias corrections are 1 − beta^t, and maxNorm 0 means no clipping. */
export const ADAMW_HYPER = [
  'lr',
  'beta1',
  'beta2',
  'eps',
  'weightDecay',
  'biasCorrection1',
  'biasCorrection2',
  'maxNorm',
] as const;

/**
 * One AdamW step on flat f32 buffers [N], in place on params, m and v, as torch.optim.AdamW: p ← p · (1 − lr · weightDecay);
 * m ← m + (g − m)(1 − beta1); v ← beta2 · v + (1 − beta2) · g²; p ← p − lr / biasCorrection1 · m / (√v / √biasCorrection2 + eps),
 * with g scaled by min(1, maxNorm / (norm + 1e-6)). Does nothing when loss or norm is not finite. Where `applied` counts the steps,
 * the bias corrections are those of that many.
 */
export const adamwOp: Op = { name: 'adamw', attrs: [], alias: { 0: 0, 1: 2, 2: 3 }, effect: true };

export interface AdamwInputs {
  params: Value;
  grads: Value;
  m: Value;
  v: Value;
  /** [8] f32, see ADAMW_HYPER. */
  hyper: Value;
  loss: Value;
  norm: Value;
  /** [1] f32, steps applied so far, this one among them; absent: the corrections are those of `hyper`. */
  applied?: Value | null;
}

/** The values of params, m and v after the step: the same memory. */
export function adamw(inputs: AdamwInputs): { params: Value; m: Value; v: Value } {
  const { params, grads, m, v, hyper, loss, norm, applied = null } = inputs;
  expectRank('adamw', 'params', params, 1);
  for (const [name, value] of Object.entries({ params, grads, m, v })) {
    expectShape('adamw', name, value, params.shape);
    expectDType('adamw', name, value, 'f32');
  }
  expectShape('adamw', 'hyper', hyper, [8]);
  expectShape('adamw', 'loss', loss, [1]);
  expectShape('adamw', 'norm', norm, [1]);
  if (applied) expectShape('adamw', 'applied', applied, [1]);
  const outputs = ['params', 'm', 'v'].map((name) => ({ name, shape: params.shape, dtype: 'f32' as const }));
  const node = addNode(params.graph, adamwOp, [params, grads, m, v, hyper, loss, norm, applied], outputs);
  return { params: node.outputs[0]!, m: node.outputs[1]!, v: node.outputs[2]! };
}
