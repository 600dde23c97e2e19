import { createGraph, type Graph, input, result, type Value, within } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';

/** x + x + … in a chain of `length` calls over `size` values. */
export function chain(size: number, length: number): Graph {
  const graph = createGraph();
  const x = input(graph, 'x', [size]);
  let y: Value = x;
  within(graph, 'blocks.3.chain', () => {
    for (let i = 0; i < length; i++) y = add(y, x);
  });
  result(graph, 'y', y);
  return graph;
}
