import { expect, test } from 'vitest';
import { createGraph, input, result } from '../../../lib/graph/graph.js';
import { randomNormal } from '../../../lib/ops/randomNormal.js';
import { drawKey, standardNormals } from '../../../lib/random/philox.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';

const SEED = 2 ** 40 + 5;
const keys = (count: number): { shape: number[]; values: number[]; dtype: 'i32' } => ({
  shape: [count, 4],
  values: Array.from({ length: count }, (_, i) => drawKey('starts', SEED, 7 * i + 2 ** 33)).flat(),
  dtype: 'i32',
});

for (const shape of [
  [1, 1],
  [1, 7],
  [3, 5, 3],
  [2, 9001],
]) {
  test(`randomNormal [${shape}]`, () =>
    checkKernel({
      inputs: {},
      fixed: { key: keys(shape[0]!) },
      build: ({ key }) => randomNormal(key!, shape, { std: 0.25 }),
      tolerance: 1e-7,
    }));
}

test('randomNormal gives the values of standardNormals', async () => {
  const graph = createGraph();
  const key = input(graph, 'key', [4], 'i32');
  result(graph, 'y', randomNormal(key, [20_011]));
  const leaves = new Map([[key, Float64Array.from(drawKey('normals', SEED, 3))]]);
  const got = (await runNative(graph, leaves, { threads: 2 })).get('y')!;
  const expected = standardNormals(SEED, 3, 20_011);
  // The libraries' logarithms and cosines may differ in the last bit of float64, which rarely shows in float32.
  const different = got.filter((value, i) => value !== expected[i]).length;
  expect(different).toBeLessThan(20);
  expect(Math.max(...got.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(1e-6);
});
