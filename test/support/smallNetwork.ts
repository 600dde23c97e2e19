import { createGraph, type Graph, input, result, type Value, within } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { linear } from '../../lib/ops/linear.js';
import { reshape } from '../../lib/ops/reshape.js';
import { grad } from '../../lib/transform/grad.js';

export interface SmallNetwork {
  readonly graph: Graph;
  readonly weights: Value[];
  readonly gradients: Value[];
}

/**
 * A chain of residual blocks `resnets.i`, y = y + W2 (W1 y) with a view in between, and the gradients of all weights.
 * Results: `y`, and `grad i` for each weight.
 */
export function smallNetwork(blocks: number, rows: number, width: number): SmallNetwork {
  const graph = createGraph();
  const weights: Value[] = [];
  let y = input(graph, 'x', [rows, width]);
  for (let i = 0; i < blocks; i++) {
    y = within(graph, `resnets.${i}`, () => {
      const up = input(graph, `up ${i}`, [2 * width, width]);
      const down = input(graph, `down ${i}`, [width, 2 * width]);
      weights.push(up, down);
      const hidden = reshape(linear(y, up, null), [1, rows, 2 * width]);
      return add(y, reshape(linear(hidden, down, null), [rows, width]));
    });
  }
  result(graph, 'y', y);
  const gradients = grad(y, input(graph, 'dy', y.shape), weights).map((g) => g!);
  gradients.forEach((g, i) => {
    result(graph, `grad ${i}`, g);
  });
  return { graph, weights, gradients };
}
