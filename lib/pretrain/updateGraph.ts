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

/** Elements `start` to `end` of the flat buffers, which an input `hyper` of their own updates. */
interface UpdatePart {
  readonly hyper: string;
  readonly start: number;
  readonly end: number;
}

/** The parts of a layout, in its order; components that lie side by side and have the same input are one. */
function updateParts({ entries, total }: FlatLayout, hyperOf: (component: string) => string): UpdatePart[] {
  const starts: { hyper: string; start: number }[] = [];
  for (const [name, { offset }] of entries) {
    const hyper = hyperOf(name.slice(0, name.indexOf('/')));
    if (starts.at(-1)?.hyper !== hyper) starts.push({ hyper, start: offset });
  }
  return starts.map((part, i) => ({ ...part, end: starts[i + 1]?.start ?? total }));
}

/**
 * Appends AdamW on `params`, `m`, `v` from `grads`, then ema ← emaMix[0] · ema + emaMix[1] · params. Inputs `emaMix` [2] and, for each
 * component, the one that `hyperOf` names, [8] (ADAMW_HYPER); result `norm` [1], that of the whole gradient before clipping.
 */
export function appendUpdate(
  graph: Graph,
  loss: Value,
  layout: FlatLayout,
  hyperOf: (component: string) => string = () => 'hyper',
): void {
  at(graph, '', 'update', () => {
    const slice = (buffer: string, start: number, end: number): Value =>
      state(graph, buffer, start, [end - start], `${buffer} ${start} to ${end}`);
    const norm = gradNorm(slice('grads', 0, layout.total));
    result(graph, 'norm', norm);
    const emaMix = input(graph, 'emaMix', [2]);
    for (const { hyper: name, start, end } of updateParts(layout, hyperOf)) {
      const of = (buffer: string): Value => slice(buffer, start, end);
      const hyper = input(graph, name, [8]);
      const { params } = adamw({ params: of('params'), grads: of('grads'), m: of('m'), v: of('v'), hyper, loss, norm });
      accumulate(of('ema'), params, emaMix);
    }
  });
}
