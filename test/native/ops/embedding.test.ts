import { expect, test } from 'vitest';
import { createGraph, input, result, type Value } from '../../../lib/graph/graph.js';
import { embedding } from '../../../lib/ops/embedding.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';

const ids = { shape: [2, 4], values: [3, 0, 3, 1, 299, 1, 3, 298], dtype: 'i32' as const };

test('embedding of f32 rows, and its gradient', () =>
  checkKernel({ inputs: { table: [300, 37] }, fixed: { ids }, build: (v) => embedding(v.ids!, v.table!) }));

test('embedding with one row and one channel', () =>
  checkKernel({
    inputs: { table: [1, 1] },
    fixed: { ids: { shape: [1, 1], values: [0], dtype: 'i32' } },
    build: (v) => embedding(v.ids!, v.table!),
  }));

test.each(['f32', 'f16', 'bf16'] as const)('embedding of a frozen table in %s', (dtype) =>
  checkKernel({
    inputs: { table: [300, 37] },
    weights: { table: dtype },
    fixed: { ids },
    tolerance: 0,
    backward: false,
    build: (v) => embedding(v.ids!, v.table!),
  }),
);

test('ids outside the table read its nearest row, and nothing beyond it', async () => {
  const graph = createGraph();
  const [given, table] = [input(graph, 'ids', [1, 3], 'i32'), input(graph, 'table', [2, 2])];
  result(graph, 'y', embedding(given, table));
  const leaves = new Map<Value, Float64Array>([
    [given, Float64Array.of(-1, 2, 2 ** 31 - 1)],
    [table, Float64Array.of(1, 2, 3, 4)],
  ]);
  expect([...(await runNative(graph, leaves)).get('y')!]).toEqual([1, 2, 3, 4, 3, 4]);
});
