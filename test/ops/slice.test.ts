import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { slice } from '../../lib/ops/slice.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('slice', () => {
  it('takes columns of the last axis', () => {
    const given = { x: { shape: [2, 3], values: [1, 2, 3, 4, 5, 6] } };
    expect(evaluate(given, ({ x }) => slice(x!, { start: 1, end: 3 }))).toEqual([[2, 3, 5, 6]]);
  });

  it.each([
    [0, 7],
    [0, 2],
    [3, 7],
    [2, 3],
  ])('has the right gradient from %i to %i', (start, end) => {
    checkGradients({ inputs: { x: [2, 3, 7] }, build: ({ x }) => slice(x!, { start, end }) });
  });

  it('refuses columns outside', () => {
    const x = input(createGraph(), 'x', [2, 3]);
    expect(() => slice(x, { start: 2, end: 4 })).toThrow(
      '[slice] start and end: expected 0 ≤ start < end ≤ 3, got 2, 4',
    );
  });
});
