import { expect, test } from 'vitest';
import { createGraph, input, result, type Value } from '../../../lib/graph/graph.js';
import { gatherRows } from '../../../lib/ops/gatherRows.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';

for (const [shape, values] of [
  [[1, 1, 1], [0]],
  [
    [3, 5, 7],
    [4, 0, 2],
  ],
  [
    [2, 77, 768],
    [76, 9],
  ],
] as const) {
  const index = { shape: [values.length], values, dtype: 'i32' as const };
  test(`gatherRows [${shape}]`, () =>
    checkKernel({ inputs: { x: shape }, fixed: { index }, tolerance: 0, build: (v) => gatherRows(v.x!, v.index!) }));
}

test('an index outside reads the nearest row of its own sample', async () => {
  const graph = createGraph();
  const [x, index] = [input(graph, 'x', [3, 2, 1]), input(graph, 'index', [3], 'i32')];
  result(graph, 'y', gatherRows(x, index));
  const leaves = new Map<Value, Float64Array>([
    [x, Float64Array.of(1, 2, 3, 4, 5, 6)],
    [index, Float64Array.of(-1, 2, 1)],
  ]);
  expect([...(await runNative(graph, leaves)).get('y')!]).toEqual([1, 4, 6]);
});
