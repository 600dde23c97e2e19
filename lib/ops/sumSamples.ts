import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectRank } from '../graph/shapes.js';

/** y [t, c] = sum of x [n, t, c] over the samples, in float64; f32. */
export const sumSamplesOp: Op = { name: 'sumSamples', attrs: [] };

export function sumSamples(x: Value): Value {
  expectRank('sumSamples', 'x', x, 3);
  return addNode(x.graph, sumSamplesOp, [x], [{ name: 'y', shape: x.shape.slice(1), dtype: 'f32' }]).outputs[0]!;
}
