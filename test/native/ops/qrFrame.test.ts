import { expect, test } from 'vitest';
import { createGraph, input, result } from '../../../lib/graph/graph.js';
import { qrFrame } from '../../../lib/ops/qrFrame.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

for (const shape of [
  [1, 1],
  [5, 1],
  [1, 9, 9],
  [37, 13],
  [3, 64, 8],
  [2, 70, 17],
  [130, 64],
]) {
  for (const transposed of [false, true]) {
    test(`qrFrame [${shape}]${transposed ? ' transposed' : ''}`, () =>
      checkKernel({
        half: false,
        inputs: { g: shape },
        build: ({ g }) => qrFrame(g!, { transposed }),
        tolerance: 3e-7,
      }));
  }
}

/** Largest difference of QᵀQ from the identity. */
function orthonormality(q: Float32Array, m: number, r: number): number {
  let worst = 0;
  for (let a = 0; a < r; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = 0;
      for (let i = 0; i < m; i++) sum += q[i * r + a]! * q[i * r + b]!;
      worst = Math.max(worst, Math.abs(sum - Number(a === b)));
    }
  }
  return worst;
}

test.each([
  ['zeros', () => 0],
  ['equal columns', (i: number) => Math.sin(i)],
  ['rank 2', (i: number, j: number) => Math.sin(i) * j + Math.cos(i) * (j % 2)],
  ['tiny numbers', (i: number, j: number) => 1e-30 * Math.sin(3 * i + j * j)],
])('qrFrame is orthonormal for %s', async (_, value: (i: number, j: number) => number) => {
  const [m, r] = [23, 7];
  const graph = createGraph();
  const g = input(graph, 'g', [m, r]);
  result(graph, 'q', qrFrame(g));
  const data = Float64Array.from({ length: m * r }, (_, i) => value(Math.floor(i / r), i % r));
  const q = (await runNative(graph, new Map([[g, data]]))).get('q')!;
  expect(orthonormality(q, m, r)).toBeLessThan(3e-7);
});

test('qrFrame keeps small last columns orthonormal', async () => {
  const [m, r] = [300, 20];
  const random = pseudoRandom(5);
  const graph = createGraph();
  const g = input(graph, 'g', [m, r]);
  result(graph, 'q', qrFrame(g));
  const data = Float64Array.from({ length: m * r }, (_, i) => random.normal() * 10 ** -(i % r));
  const q = (await runNative(graph, new Map([[g, data]]), { threads: 2 })).get('q')!;
  expect(orthonormality(q, m, r)).toBeLessThan(3e-7);
});
