import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { meanRows } from '../../lib/ops/meanRows.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('meanRows', () => {
  it('is the mean over rows of each sample', () => {
    const given = { x: { shape: [2, 2, 2], values: [1, 2, 3, 4, 5, 6, 7, 10] } };
    expect(evaluate(given, ({ x }) => meanRows(x!))).toEqual([[2, 3, 6, 8]]);
  });

  it('has the right gradient, over pictures too', () => {
    checkGradients({ inputs: { x: [2, 3, 2] }, build: ({ x }) => meanRows(x!) });
    checkGradients({ inputs: { x: [2, 2, 3, 2] }, build: ({ x }) => meanRows(x!) });
  });

  it('refuses what has no rows', () => {
    expect(() => meanRows(input(createGraph(), 'x', [2, 3]))).toThrow('[meanRows] dimensions of x: expected 3 or more');
  });
});
