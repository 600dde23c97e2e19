import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { addRows } from '../../lib/ops/addRows.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('addRows', () => {
  it('adds the same rows to every sample', () => {
    const given = {
      x: { shape: [2, 2, 2], values: [1, 2, 3, 4, 5, 6, 7, 8] },
      p: { shape: [2, 2], values: [10, 20, 30, 40] },
    };
    expect(evaluate(given, ({ x, p }) => addRows(x!, p!))).toEqual([[11, 22, 33, 44, 15, 26, 37, 48]]);
  });

  it('has right gradients', () => {
    checkGradients({ inputs: { x: [3, 2, 5], p: [2, 5] }, build: ({ x, p }) => addRows(x!, p!) });
  });

  it('refuses another number of rows', () => {
    const graph = createGraph();
    expect(() => addRows(input(graph, 'x', [2, 3, 5]), input(graph, 'p', [4, 5]))).toThrow(
      '[addRows] shape of p: expected [3,5], got [4,5]',
    );
  });
});
