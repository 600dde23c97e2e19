import { addNode, elements, type Op, type Value } from '../graph/graph.js';
import { expectThat } from '../graph/shapes.js';

/** y [n, c] = sum of x [n, ..., c] over everything between sample and channel. Sums of chunks in float32, across them in float64. */
export const sumPerSampleOp: Op = {
  name: 'sumPerSample',
  attrs: [],
  scratchBytes: (node) => {
    const { shape } = node.inputs[0]!;
    const c = shape.at(-1)!;
    return (
      4 * c * shape[0]! * Math.ceil(elements(shape.slice(1, -1)) / Math.min(256, Math.max(8, Math.floor(16384 / c))))
    );
  },
};

export function sumPerSample(x: Value): Value {
  expectThat(x.shape.length >= 2, 'sumPerSample', 'dimensions of x', '2 or more', `[${x.shape}]`, x);
  const shape = [x.shape[0]!, x.shape.at(-1)!];
  return addNode(x.graph, sumPerSampleOp, [x], [{ name: 'y', shape, dtype: x.dtype }]).outputs[0]!;
}
