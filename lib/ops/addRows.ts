import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectRank, expectShape } from '../graph/shapes.js';
import { sumSamples } from './sumSamples.js';

/** y [n, t, c] = x + p, with p [t, c] the same for every sample (position embeddings). */
export const addRowsOp: Op = {
  name: 'addRows',
  attrs: [],
  overwrites: [0],
  vjp: (_node, [dy], [needX, needP]) => [needX ? dy! : null, needP ? sumSamples(dy!) : null],
};

export function addRows(x: Value, p: Value): Value {
  expectRank('addRows', 'x', x, 3);
  expectShape('addRows', 'p', p, x.shape.slice(1));
  return addNode(x.graph, addRowsOp, [x, p], [{ name: 'y', shape: x.shape, dtype: x.dtype }]).outputs[0]!;
}
