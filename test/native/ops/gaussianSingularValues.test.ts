import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createGraph, input, result } from '../../../lib/graph/graph.js';
import { readSafetensorsHeader, readTensorFloat32 } from '../../../lib/io/safetensors.js';
import { type GaussianMatrix, gaussianSingularValues } from '../../../lib/ops/gaussianSingularValues.js';
import { drawKey } from '../../../lib/random/philox.js';
import { checkKernel } from '../../support/checkKernel.js';
import { kolmogorovSmirnov } from '../../support/kolmogorovSmirnov.js';
import { runNative } from '../../support/nativeRun.js';

const keys = (count: number, seed: number): number[] =>
  Array.from({ length: count }, (_, i) => drawKey('starts', seed, i)).flat();

const CASES: GaussianMatrix[] = [
  { rows: 1, cols: 1, rank: 1, which: 'last', std: 1 },
  { rows: 9, cols: 1, rank: 1, which: 'principal', std: 2 },
  { rows: 2, cols: 2, rank: 2, which: 'last', std: 1 },
  { rows: 11, cols: 16, rank: 5, which: 'middle', std: 0.2 },
  { rows: 30, cols: 30, rank: 30, which: 'last', std: 1 / 30 },
  { rows: 25, cols: 24, rank: 17, which: 'principal', std: 1 / 17 },
];

for (const shape of CASES) {
  test(`gaussianSingularValues: ${shape.which} ${shape.rank} of ${shape.rows} × ${shape.cols}`, () =>
    checkKernel({
      half: false,
      inputs: {},
      fixed: { key: { shape: [3, 4], values: keys(3, 8), dtype: 'i32' } },
      build: ({ key }) => gaussianSingularValues(key!, shape),
      tolerance: 1e-7,
    }));
}

test('gaussianSingularValues keeps the relative accuracy of small values', () =>
  checkKernel({
    half: false,
    inputs: {},
    fixed: { key: { shape: [4, 4], values: keys(4, 3), dtype: 'i32' } },
    build: ({ key }) => gaussianSingularValues(key!, { rows: 40, cols: 40, rank: 1, which: 'last', std: 1 }),
    tolerance: 1e-7,
  }));

const FILE = join(import.meta.dirname, '../../fixtures/init-singular-values.safetensors');
const { tensors } = readSafetensorsHeader(FILE);

test.each([...tensors.keys()])('gaussianSingularValues has the law of true SVDs: %s', async (name) => {
  const [, cols, rows, rank, which] = /^(\d+)x(\d+)\.r(\d+)\.(\w+)$/.exec(name)!;
  const ref = tensors.get(name)!;
  const [draws, r] = ref.shape as [number, number];
  const graph = createGraph();
  const key = input(graph, 'key', [draws, 4], 'i32');
  const shape = { rows: Number(rows), cols: Number(cols), rank: r, which: which as 'last', std: 1 / r };
  result(graph, 'sigma', gaussianSingularValues(key, shape));
  const got = (await runNative(graph, new Map([[key, Float64Array.from(keys(draws, 1))]]), { threads: 2 })).get(
    'sigma',
  )!;
  const reference = readTensorFloat32(ref);
  expect(Number(rank)).toBe(r);
  for (let j = 0; j < r; j++) {
    const column = (values: Float32Array): number[] => Array.from({ length: draws }, (_, i) => values[i * r + j]!);
    const p = kolmogorovSmirnov(column(got), column(reference));
    expect(p, `${name}, value ${j}`).toBeGreaterThan(0.001);
  }
});
