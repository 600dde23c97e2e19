import { describe, expect, it } from 'vitest';
import { createGraph, input, state } from '../../lib/graph/graph.js';
import { type FrameSlice, retract, retractTable } from '../../lib/ops/retract.js';
import { evaluate, expectNear } from '../support/evaluate.js';

const SLICES: FrameSlice[] = [
  { offset: 1, length: 2, count: 1, transposed: false },
  { offset: 4, length: 2, count: 2, transposed: true },
];

describe('retract', () => {
  it('replaces its slices by frames and nothing else', () => {
    const params = { shape: [9], values: [7, 3, 4, 7, 3, 4, 1, 2, 7] };
    const table = { shape: [2, 4], values: [...retractTable(SLICES)], dtype: 'i32' as const };
    const [got] = evaluate({ params, table }, ({ params, table }) => retract(params!, table!, SLICES));
    expectNear(got, [7, 0.6, 0.8, 7, 0.6, 0.8, -0.8, 0.6, 7]);
  });

  it('leaves a step alone that is not finite', () => {
    const values = [7, 3, 4, 7, 3, 4, 1, 2, 7];
    const given = {
      params: { shape: [9], values },
      table: { shape: [2, 4], values: [...retractTable(SLICES)], dtype: 'i32' as const },
      loss: { shape: [1], values: [Number.NaN] },
      norm: { shape: [1], values: [1] },
    };
    const [got] = evaluate(given, ({ params, table, loss, norm }) =>
      retract(params!, table!, SLICES, { loss: loss!, norm: norm! }),
    );
    expect([...got!]).toEqual(values);
  });

  it('names a table of another size', () => {
    const graph = createGraph();
    const params = state(graph, 'params', 0, [9], 'params');
    expect(() => retract(params, input(graph, 'table', [3, 4], 'i32'), SLICES)).toThrow(
      '[retract] rows of table: expected 2, got 3',
    );
  });
});
