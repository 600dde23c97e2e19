import { at, type Graph, input, result, state, type Value } from '../graph/graph.js';
import { accumulate } from '../ops/accumulate.js';
import { adamw } from '../ops/adamw.js';
import { gradNorm } from '../ops/gradNorm.js';
import { scale } from '../ops/scale.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { grad } from '../transform/grad.js';

/** The slices of `params` that a graph reads. */
function trainedLeaves(graph: Graph): Value[] {
  return [...graph.leaves.values()].filter(({ leaf }) => leaf?.kind === 'state' && leaf.buffer === 'params');
}

/** Lets a gradient be written where its leaf's gradient belongs. */
function settle(gradient: Value, leaf: Value): void {
  if (leaf.leaf?.kind !== 'state') return;
  const value = gradient.home || gradient.leaf ? scale(gradient, 1) : gradient;
  value.home = { buffer: 'grads', offset: leaf.leaf.offset };
}

/** Appends the gradients of all of `params` that reach the loss, written to `grads`. Input `lossSeed` [1]. */
export function appendGradients(graph: Graph, loss: Value): void {
  const leaves = trainedLeaves(graph);
  const gradients = grad(loss, input(graph, 'lossSeed', [1]), leaves);
  at(graph, '', 'update', () => {
    gradients.forEach((gradient, i) => {
      if (gradient !== null) settle(gradient, leaves[i]!);
    });
  });
}

/**
 * Appends AdamW on `params`, `m`, `v` from `grads`, then ema ← emaMix[0] · ema + emaMix[1] · params. Inputs `hyper` [8] (ADAMW_HYPER) and
 * `emaMix` [2]; result `norm` [1], that of the gradient before clipping.
 */
export function appendUpdate(graph: Graph, loss: Value, { total }: FlatLayout): void {
  at(graph, '', 'update', () => {
    const whole = (buffer: string): Value => state(graph, buffer, 0, [total], `all of ${buffer}`);
    const grads = whole('grads');
    const norm = gradNorm(grads);
    result(graph, 'norm', norm);
    const hyper = input(graph, 'hyper', [8]);
    const { params } = adamw({ params: whole('params'), grads, m: whole('m'), v: whole('v'), hyper, loss, norm });
    accumulate(whole('ema'), params, input(graph, 'emaMix', [2]));
  });
}
