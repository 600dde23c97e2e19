import { expect, test } from 'vitest';
import { createGraph, input, result } from '../../../lib/graph/graph.js';
import { complementFrame } from '../../../lib/ops/complementFrame.js';
import { qrFrame } from '../../../lib/ops/qrFrame.js';
import { randomNormal } from '../../../lib/ops/randomNormal.js';
import { drawKey } from '../../../lib/random/philox.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';

const keys = (count: number): number[] => Array.from({ length: count }, (_, i) => drawKey('starts', 4, i)).flat();

for (const [count, n, rank, rows] of [
  [1, 1, 1, 2],
  [2, 9, 3, 14],
  [1, 20, 20, 33],
  [2, 40, 8, 64],
] as const) {
  for (const which of ['last', 'middle', 'principal'] as const) {
    test(`complementFrame: ${which} ${rank} rows of ${rows} × ${n}, ${count} times`, () =>
      checkKernel({
        half: false,
        inputs: { g: [count, n, rank] },
        fixed: { key: { shape: [count, 4], values: keys(count), dtype: 'i32' } },
        build: ({ g, key }) => complementFrame(key!, qrFrame(g!), { rows, which }),
        tolerance: 1e-6,
      }));
  }
}

test('complementFrame leans towards the identity as LAPACK does, and is orthonormal', async () => {
  // Mean diagonal of the last 32 × 32 entries for 256 × 160: 0.397 with LAPACK, 1 − 160/256 = 0.375 expected.
  const [count, rows, n, r] = [8, 256, 160, 32];
  const graph = createGraph();
  const key = input(graph, 'key', [count, 4], 'i32');
  const frame = complementFrame(key, qrFrame(randomNormal(key, [count, n, r])), { rows, which: 'last' });
  result(graph, 'frame', frame);
  const q = (await runNative(graph, new Map([[key, Float64Array.from(keys(count))]]), { threads: 2 })).get('frame')!;
  let diagonal = 0;
  for (let a = 0; a < count * r; a++) {
    diagonal += q[a * rows + rows - r + (a % r)]! / (count * r);
    const from = a - (a % r);
    for (let b = from; b <= a; b++) {
      let sum = 0;
      for (let i = 0; i < rows; i++) sum += q[a * rows + i]! * q[b * rows + i]!;
      expect(Math.abs(sum - Number(a === b))).toBeLessThan(1e-6);
    }
  }
  expect(Math.abs(diagonal - 0.397)).toBeLessThan(0.03);
});
