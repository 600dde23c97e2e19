import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectRank, expectThat } from '../graph/shapes.js';

/** y[n, i, j, c] = x[n, ⌊i·h/height⌋, ⌊j·w/width⌋, c], x [n, h, w, c]; any size ≥ 1, as torch's mode 'nearest'. */
export const upsampleNearestOp: Op = {
  name: 'upsampleNearest',
  attrs: ['height', 'width'],
  vjp: (node, [dy]) => [upsampleNearestVjp(dy!, node.inputs[0]!)],
};

/** dx = sum of dy over the places that read each x. `height` and `width` are those of x. */
export const upsampleNearestVjpOp: Op = { name: 'upsampleNearestVjp', attrs: ['height', 'width'] };

export function upsampleNearest(x: Value, { height, width }: { height: number; width: number }): Value {
  expectRank('upsampleNearest', 'x', x, 4);
  const whole = Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0;
  expectThat(whole, 'upsampleNearest', 'height and width', 'integers above 0', `${height}, ${width}`, x);
  const shape = [x.shape[0]!, height, width, x.shape[3]!];
  const outputs = [{ name: 'y', shape, dtype: x.dtype }];
  return addNode(x.graph, upsampleNearestOp, [x], outputs, { height, width }).outputs[0]!;
}

function upsampleNearestVjp(dy: Value, x: Value): Value {
  const attrs = { height: x.shape[1]!, width: x.shape[2]! };
  const outputs = [{ name: 'dx', shape: x.shape, dtype: dy.dtype }];
  return addNode(dy.graph, upsampleNearestVjpOp, [dy], outputs, attrs).outputs[0]!;
}
