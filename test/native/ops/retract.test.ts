import { expect, test } from 'vitest';
import { createGraph, input, state, type Value } from '../../../lib/graph/graph.js';
import { type FrameSlice, retract, retractTable } from '../../../lib/ops/retract.js';
import { relativeError } from '../../support/checkKernel.js';
import { interpret } from '../../support/interpreter.js';
import { runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

const SLICES: FrameSlice[] = [
  { offset: 0, length: 33, count: 5, transposed: false },
  { offset: 176, length: 40, count: 9, transposed: true },
  { offset: 544, length: 1, count: 1, transposed: false },
  { offset: 560, length: 12, count: 12, transposed: true },
];
const TOTAL = 720;

test.each([1, 2, 3])('retract makes frames of its slices and leaves the rest, %i threads', async (threads) => {
  const graph = createGraph();
  const params = state(graph, 'params', 0, [TOTAL], 'params');
  const table = input(graph, 'table', [SLICES.length, 4], 'i32');
  const after = retract(params, table, SLICES);
  const random = pseudoRandom(2);
  const start = Float64Array.from({ length: TOTAL }, () => Math.fround(random.normal()));
  const leaves = new Map<Value, Float64Array>([
    [params, start],
    [table, Float64Array.from(retractTable(SLICES))],
  ]);
  const expected = interpret(graph, leaves).get(after)!;
  const got = (await runNative(graph, leaves, { threads })).get('after params')!;
  expect(relativeError(got, expected)).toBeLessThan(3e-7);
  const outside = [...start.keys()].filter(
    (i) => !SLICES.some(({ offset, length, count }) => i >= offset && i < offset + length * count),
  );
  expect(outside.length).toBeGreaterThan(0);
  expect(outside.map((i) => got[i])).toEqual(outside.map((i) => start[i]));
});

test.each([
  [Number.NaN, 1],
  [0, Number.POSITIVE_INFINITY],
])('retract does nothing when the loss is %d and the norm %d', async (loss, norm) => {
  const graph = createGraph();
  const params = state(graph, 'params', 0, [TOTAL], 'params');
  const table = input(graph, 'table', [SLICES.length, 4], 'i32');
  const judged = { loss: input(graph, 'loss', [1]), norm: input(graph, 'norm', [1]) };
  retract(params, table, SLICES, judged);
  const random = pseudoRandom(2);
  const start = Float64Array.from({ length: TOTAL }, () => Math.fround(random.normal()));
  const leaves = new Map<Value, Float64Array>([
    [params, start],
    [table, Float64Array.from(retractTable(SLICES))],
    [judged.loss, Float64Array.of(loss)],
    [judged.norm, Float64Array.of(norm)],
  ]);
  const got = (await runNative(graph, leaves, { threads: 2 })).get('after params')!;
  expect([...got]).toEqual([...start]);
});
