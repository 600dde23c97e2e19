import { expect, test } from 'vitest';
import { createGraph, input, state, type Value } from '../../../lib/graph/graph.js';
import { accumulate } from '../../../lib/ops/accumulate.js';
import { runNative } from '../../support/nativeRun.js';

/** The sum after the op, of `n` elements that all began alike. */
async function run(n: number, sum: number, coefficients: number[], threads: number): Promise<Float32Array> {
  const graph = createGraph();
  const [total, grads] = [state(graph, 'sums', 0, [n], 'sum'), input(graph, 'grads', [n])];
  const c = input(graph, 'c', [2]);
  accumulate(total, grads, c);
  const leaves = new Map<Value, Float64Array>([
    [total, new Float64Array(n).fill(sum)],
    [grads, Float64Array.from({ length: n }, (_, i) => i)],
    [c, Float64Array.from(coefficients)],
  ]);
  return (await runNative(graph, leaves, { threads })).get('after sum')!;
}

for (const n of [1, 7, 40_000]) {
  test(`accumulate [${n}] adds to the sum`, async () => {
    expect(await run(n, 3, [2, 0.5], 2)).toEqual(Float32Array.from({ length: n }, (_, i) => 6 + 0.5 * i));
  });
}

test('accumulate does not read the old sum when its coefficient is 0', async () => {
  expect(await run(19, Number.NaN, [0, 0.25], 1)).toEqual(Float32Array.from({ length: 19 }, (_, i) => 0.25 * i));
});
