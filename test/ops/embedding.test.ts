import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { embedding } from '../../lib/ops/embedding.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

const ids = { shape: [2, 3], values: [3, 0, 3, 1, 1, 3], dtype: 'i32' as const };

describe('embedding', () => {
  it('looks rows up', () => {
    const given = {
      ids: { ...ids, shape: [1, 2], values: [2, 0] },
      table: { shape: [3, 2], values: [1, 2, 3, 4, 5, 6] },
    };
    expect(evaluate(given, (values) => embedding(values.ids!, values.table!))).toEqual([[5, 6, 1, 2]]);
  });

  it('has the right gradient where rows repeat and where none is read', () => {
    checkGradients({ inputs: { table: [5, 4] }, fixed: { ids }, build: (v) => embedding(v.ids!, v.table!) });
  });

  it('refuses ids that are not integers', () => {
    const graph = createGraph();
    expect(() => embedding(input(graph, 'ids', [1, 2]), input(graph, 'table', [3, 2]))).toThrow(
      '[embedding] type of ids: expected i32, got f32',
    );
  });
});
