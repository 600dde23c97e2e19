import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { addPerSample } from '../../lib/ops/addPerSample.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('addPerSample', () => {
  it('adds one row to every position of its sample', () => {
    const given = {
      x: { shape: [2, 2, 1, 2], values: [1, 2, 3, 4, 5, 6, 7, 8] },
      y: { shape: [2, 2], values: [10, 20, 30, 40] },
    };
    expect(evaluate(given, ({ x, y }) => addPerSample(x!, y!))).toEqual([[11, 22, 13, 24, 35, 46, 37, 48]]);
  });

  it('has right gradients', () => {
    checkGradients({ inputs: { x: [2, 3, 2, 5], y: [2, 5] }, build: ({ x, y }) => addPerSample(x!, y!) });
  });

  it('refuses a row for another number of samples', () => {
    const graph = createGraph();
    expect(() => addPerSample(input(graph, 'x', [2, 3, 5]), input(graph, 'y', [1, 5]))).toThrow(
      '[addPerSample] shape of y: expected [2,5], got [1,5]',
    );
  });
});
