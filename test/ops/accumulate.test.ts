import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { accumulate } from '../../lib/ops/accumulate.js';
import { evaluate } from '../support/evaluate.js';

const run = (sum: number[], coefficients: number[]): number[][] =>
  evaluate(
    {
      sum: { shape: [2], values: sum },
      grads: { shape: [2], values: [4, 8] },
      coefficients: { shape: [2], values: coefficients },
    },
    (v) => accumulate(v.sum!, v.grads!, v.coefficients!),
  );

describe('accumulate', () => {
  it('adds a part of the gradient', () => {
    expect(run([1, 2], [1, 0.25])).toEqual([[2, 4]]);
  });

  it('does not read the old sum when its coefficient is 0', () => {
    expect(run([Number.NaN, Number.POSITIVE_INFINITY], [0, 0.5])).toEqual([[2, 4]]);
  });

  it('refuses another shape', () => {
    const graph = createGraph();
    const [sum, grads, c] = [input(graph, 's', [4]), input(graph, 'g', [3]), input(graph, 'c', [2])];
    expect(() => accumulate(sum, grads, c)).toThrow('[accumulate] shape of grads: expected [4], got [3]');
  });
});
