import { expect, test } from 'vitest';
import { createGraph, type DType, result, weight } from '../../../lib/graph/graph.js';
import type { SingularRange } from '../../../lib/ops/gaussianSingularValues.js';
import { svdComponents } from '../../../lib/ops/svdComponents.js';
import { checkKernel } from '../../support/checkKernel.js';
import { onCuda, runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

const CASES: [number, number, number, SingularRange, DType][] = [
  [1, 1, 1, 'last', 'f32'],
  [1, 9, 1, 'last', 'f32'],
  [9, 1, 1, 'principal', 'f16'],
  [6, 6, 6, 'last', 'f32'],
  [24, 17, 5, 'last', 'bf16'],
  [17, 24, 5, 'middle', 'f16'],
  [40, 40, 18, 'principal', 'f32'],
  [33, 70, 33, 'principal', 'f32'],
];

for (const [out, width, rank, which, dtype] of CASES) {
  test(`svdComponents: ${which} ${rank} of ${out} × ${width} in ${dtype}`, () =>
    checkKernel({
      half: false,
      inputs: { w: [out, width] },
      weights: { w: dtype },
      build: ({ w }) => Object.values(svdComponents(w!, { rank, which })),
      tolerance: 1e-6,
    }));
}

interface Triples {
  up: Float32Array;
  sigma: Float32Array;
  down: Float32Array;
}

async function decompose(values: Float64Array, out: number, width: number, rank: number): Promise<Triples> {
  const graph = createGraph();
  const w = weight(graph, 'w', [out, width], 'f32');
  for (const [name, value] of Object.entries(svdComponents(w, { rank, which: 'last' }))) result(graph, name, value);
  const results = await runNative(graph, new Map([[w, values]]), { threads: 2 });
  return { up: results.get('up')!, sigma: results.get('sigma')!, down: results.get('down')! };
}

/** Largest of ‖w·downᵀ − up·σ‖, ‖wᵀ·up − downᵀ·σ‖ entrywise, and of the frames' distance from orthonormal. */
function residual(w: Float64Array, out: number, width: number, { up, sigma, down }: Triples): number {
  const rank = sigma.length;
  const at = (i: number, j: number): number => w[i * width + j]!;
  const sum = (n: number, term: (k: number) => number): number =>
    Array.from({ length: n }, (_, k) => term(k)).reduce((a, b) => a + b, 0);
  let worst = 0;
  const see = (value: number): void => {
    worst = Number.isNaN(value) ? Number.NaN : Math.max(worst, Math.abs(value));
  };
  for (let a = 0; a < rank; a++) {
    for (let i = 0; i < out; i++)
      see(sum(width, (j) => at(i, j) * down[a * width + j]!) - sigma[a]! * up[i * rank + a]!);
    for (let j = 0; j < width; j++)
      see(sum(out, (i) => at(i, j) * up[i * rank + a]!) - sigma[a]! * down[a * width + j]!);
    for (let b = 0; b <= a; b++) {
      see(sum(out, (i) => up[i * rank + a]! * up[i * rank + b]!) - Number(a === b));
      see(sum(width, (j) => down[a * width + j]! * down[b * width + j]!) - Number(a === b));
    }
  }
  return worst;
}

const random = pseudoRandom(3);
test.each([
  ['zeros', () => 0],
  ['the identity', (i: number, j: number) => Number(i === j)],
  ['rank 1', (i: number, j: number) => Math.sin(i + 1) * Math.cos(j)],
  ['rank 2', (i: number, j: number) => Math.sin(i + 1) * Math.cos(j) + (i % 3) * (j % 2)],
  ['a permutation with two sizes', (i: number, j: number) => Number(i === (j * 5) % 21) * (1 + (j % 2))],
  ['columns from 1 to 1e-12', (_i: number, j: number) => random.normal() * 10 ** -j],
])('svdComponents gives true, orthonormal triples for %s', async (_, value: (i: number, j: number) => number) => {
  for (const [out, width] of [
    [21, 12],
    [12, 21],
    [21, 21],
  ] as const) {
    const w = Float64Array.from({ length: out * width }, (_, i) =>
      Math.fround(value(Math.floor(i / width), i % width)),
    );
    const triples = await decompose(w, out, width, 12);
    expect(residual(w, out, width, triples), `${out} × ${width}`).toBeLessThan(1e-6);
    expect([...triples.sigma]).toEqual([...triples.sigma].sort((a, b) => b - a));
  }
});

test('svdComponents names infinite weights', async () => {
  const w = Float64Array.from({ length: 12 }, (_, i) => (i === 5 ? Number.POSITIVE_INFINITY : i));
  if (onCuda) {
    // A kernel cannot throw: its result is not finite, which a run in checking mode names.
    const { sigma } = await decompose(w, 4, 3, 2);
    expect([...sigma].every((value) => Number.isNaN(value))).toBe(true);
  } else {
    await expect(decompose(w, 4, 3, 2)).rejects.toThrow('[svdComponents] the weight holds infinity');
  }
});
