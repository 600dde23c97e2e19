import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectShape, expectThat } from '../graph/shapes.js';
import { sumPerSample } from './sumPerSample.js';

/** z [n, ..., c] = x + y, with y [n, c] the same at every position of its sample. */
export const addPerSampleOp: Op = {
  name: 'addPerSample',
  attrs: [],
  overwrites: [0],
  vjp: (_node, [dz], [needX, needY]) => [needX ? dz! : null, needY ? sumPerSample(dz!) : null],
};

export function addPerSample(x: Value, y: Value): Value {
  expectThat(x.shape.length >= 2, 'addPerSample', 'dimensions of x', '2 or more', `[${x.shape}]`, x);
  expectShape('addPerSample', 'y', y, [x.shape[0]!, x.shape.at(-1)!]);
  return addNode(x.graph, addPerSampleOp, [x, y], [{ name: 'z', shape: x.shape, dtype: x.dtype }]).outputs[0]!;
}
