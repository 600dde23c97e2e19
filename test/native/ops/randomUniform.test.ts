import { expect, test } from 'vitest';
import { createGraph, input, result } from '../../../lib/graph/graph.js';
import { randomUniform } from '../../../lib/ops/randomUniform.js';
import { drawKey } from '../../../lib/random/philox.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';

for (const shape of [[1], [6], [20_011]]) {
  test(`randomUniform [${shape}]`, () =>
    checkKernel({
      inputs: {},
      fixed: { key: { shape: [4], values: drawKey('starts', 1, 2), dtype: 'i32' } },
      build: ({ key }) => randomUniform(key!, shape),
      tolerance: 0,
    }));
}

test('randomUniform stays in [0, 1) with mean 1/2', async () => {
  const graph = createGraph();
  const key = input(graph, 'key', [4], 'i32');
  const n = 100_000;
  result(graph, 'y', randomUniform(key, [n]));
  const got = (await runNative(graph, new Map([[key, Float64Array.from(drawKey('starts', 9, 0))]]))).get('y')!;
  expect(got.every((u) => u >= 0 && u < 1)).toBe(true);
  const mean = got.reduce((a, b) => a + b, 0) / n;
  expect(Math.abs(mean - 0.5)).toBeLessThan(4 / Math.sqrt(12 * n));
});
