import { describe, expect, it } from 'vitest';
import { createGraph, type DType, elements, input, result, type Value, weight } from '../../../lib/graph/graph.js';
import { concat } from '../../../lib/ops/concat.js';
import { type Conv2dOptions, conv2d } from '../../../lib/ops/conv2d.js';
import { grad } from '../../../lib/transform/grad.js';
import { relativeError } from '../../support/checkKernel.js';
import { roundTo } from '../../support/halfFloat.js';
import { interpret } from '../../support/interpreter.js';
import { onCuda, runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

// Side, trained and other channels, outputs, window, options. The first takes Winograd's way, the others the product over patches.
const CASES: readonly [number, number, number, number, number, Conv2dOptions][] = [
  [9, 33, 20, 19, 3, { pad: 1 }],
  [5, 17, 30, 40, 1, {}],
  [7, 5, 3, 18, 3, { pad: 1, stride: 2 }],
];

// For the CPU alone: lib/train asks for narrow gradients nowhere else.
describe.runIf(!onCuda)('conv2d, gradient of the first channels', () => {
  for (const [side, trained, rest, out, window, options] of CASES) {
    for (const stored of ['f32', 'f16'] satisfies DType[]) {
      it(`agrees with its meaning: ${trained} of ${trained + rest} channels, ${window}×${window}, ${stored} weight`, async () => {
        const graph = createGraph();
        const x = input(graph, 'x', [2, side, side, trained]);
        const joined = concat(x, input(graph, 'skip', [2, side, side, rest]));
        const w = weight(graph, 'w', [out, window, window, trained + rest], stored);
        const y = conv2d(joined, w, null, options);
        const dy = input(graph, 'dy', y.shape);
        const [dx] = grad(y, dy, [x], { narrow: true });
        result(graph, 'dx', dx!);
        expect(graph.nodes.filter(({ op }) => op.name === 'slice')).toEqual([]);
        const random = pseudoRandom(4);
        const leaves = new Map<Value, Float64Array>();
        for (const leaf of graph.leaves.values()) {
          const data = Float64Array.from({ length: elements(leaf.shape) }, () => random.normal());
          leaves.set(leaf, roundTo(data, leaf.dtype));
        }
        const expected = interpret(graph, leaves).get(dx!)!;
        const got = (await runNative(graph, leaves, { threads: 2 })).get('dx')!;
        expect(relativeError(got, expected)).toBeLessThan(2e-6);
      });
    }
  }
});
