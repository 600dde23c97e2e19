import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { concat } from '../../lib/ops/concat.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('concat', () => {
  it('puts rows beside each other', () => {
    const given = { a: { shape: [2, 1], values: [1, 2] }, b: { shape: [2, 2], values: [3, 4, 5, 6] } };
    expect(evaluate(given, ({ a, b }) => concat(a!, b!))).toEqual([[1, 3, 4, 2, 5, 6]]);
  });

  it('has right gradients', () => {
    checkGradients({ inputs: { a: [2, 2, 3, 4], b: [2, 2, 3, 3] }, build: ({ a, b }) => concat(a!, b!) });
  });

  it('refuses other rows', () => {
    const graph = createGraph();
    expect(() => concat(input(graph, 'a', [2, 3, 4]), input(graph, 'b', [2, 2, 4]))).toThrow(
      '[concat] shape of b: expected [2,3,4], got [2,2,4]',
    );
  });
});
