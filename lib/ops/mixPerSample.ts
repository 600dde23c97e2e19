import { ShapeError } from '../errors.js';
import { addNode, type Node, type Op, type Value } from '../graph/graph.js';
import { expectShape, expectThat } from '../graph/shapes.js';

/** out[i] = a[i] · x[i] + b[i] · y[i] for every sample i: x and y [n, ...], a and b [n] f32. a and b get no gradient. */
export const mixPerSampleOp: Op = {
  name: 'mixPerSample',
  attrs: [],
  overwrites: [0, 1],
  vjp: (node, [grad], needs) => mixPerSampleVjp(node, grad!, needs),
};

/** dx[i] = a[i] · grad[i]; dy[i] = b[i] · grad[i]. Inputs a, b, grad. */
export const mixPerSampleVjpOp: Op = { name: 'mixPerSampleVjp', attrs: [] };

export function mixPerSample(x: Value, y: Value, a: Value, b: Value): Value {
  expectThat(x.shape.length >= 1, 'mixPerSample', 'dimensions of x', '1 or more', `[${x.shape}]`, x);
  expectShape('mixPerSample', 'y', y, x.shape);
  expectShape('mixPerSample', 'a', a, [x.shape[0]!]);
  expectShape('mixPerSample', 'b', b, [x.shape[0]!]);
  return addNode(x.graph, mixPerSampleOp, [x, y, a, b], [{ name: 'out', shape: x.shape, dtype: x.dtype }]).outputs[0]!;
}

function mixPerSampleVjp(node: Node, grad: Value, [needX, needY, needA, needB]: readonly boolean[]): (Value | null)[] {
  const [x, y, a, b] = node.inputs as [Value, Value, Value, Value];
  if (needA || needB) throw new ShapeError(`[mixPerSample] a and b have no gradient rule (at ${node.path})`);
  const made = addNode(
    grad.graph,
    mixPerSampleVjpOp,
    [a, b, grad],
    [
      needX ? { name: 'dx', shape: x.shape, dtype: grad.dtype } : null,
      needY ? { name: 'dy', shape: y.shape, dtype: grad.dtype } : null,
    ],
  );
  return [...made.outputs, null, null];
}
