import { addNode, elements, type Op, type Value } from '../graph/graph.js';
import { expectShape } from '../graph/shapes.js';

/**
 * kl [1] = mean over all elements of ½ (mean² + e^logvar − 1 − logvar): the divergence of normal distributions from the unit normal,
 * for one element. Sums in float64, result f32.
 */
export const klDivergenceOp: Op = {
  name: 'klDivergence',
  attrs: [],
  scratchBytes: (node) => 8 * blocks(node.inputs[0]!),
  vjp: (node, [dkl], needs) => klDivergenceVjp(node.inputs as Value[], dkl!, needs),
};

/** dmean = dkl · mean / N; dlogvar = dkl · ½ (e^logvar − 1) / N; dkl [1]. */
export const klDivergenceVjpOp: Op = { name: 'klDivergenceVjp', attrs: [] };

/** Blocks of 16384 elements, as in native/cpu/blocks.h. */
function blocks(x: Value): number {
  return Math.ceil(elements(x.shape) / 16384);
}

export function klDivergence(mean: Value, logvar: Value): Value {
  expectShape('klDivergence', 'logvar', logvar, mean.shape);
  return addNode(mean.graph, klDivergenceOp, [mean, logvar], [{ name: 'kl', shape: [1], dtype: 'f32' }]).outputs[0]!;
}

function klDivergenceVjp(inputs: readonly Value[], dkl: Value, needs: readonly boolean[]): (Value | null)[] {
  const names = ['dmean', 'dlogvar'];
  const outputs = inputs.map(({ shape, dtype }, i) => (needs[i] ? { name: names[i]!, shape, dtype } : null));
  return [...addNode(dkl.graph, klDivergenceVjpOp, [...inputs, dkl], outputs).outputs];
}
