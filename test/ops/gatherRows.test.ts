import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { gatherRows } from '../../lib/ops/gatherRows.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

const index = { shape: [2], values: [2, 0], dtype: 'i32' as const };

describe('gatherRows', () => {
  it('takes one row of each sample', () => {
    const x = { shape: [2, 3, 1], values: [1, 2, 3, 4, 5, 6] };
    expect(evaluate({ x, index }, (values) => gatherRows(values.x!, values.index!))).toEqual([[3, 4]]);
  });

  it('has the right gradient', () => {
    checkGradients({ inputs: { x: [2, 3, 4] }, fixed: { index }, build: (v) => gatherRows(v.x!, v.index!) });
  });

  it('refuses an index for another number of samples', () => {
    const graph = createGraph();
    expect(() => gatherRows(input(graph, 'x', [2, 3, 4]), input(graph, 'index', [3], 'i32'))).toThrow(
      '[gatherRows] shape of index: expected [2], got [3]',
    );
  });
});
