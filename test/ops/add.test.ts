import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('add', () => {
  it('has right gradients', () => {
    checkGradients({ inputs: { a: [2, 3], b: [2, 3] }, build: ({ a, b }) => add(a!, b!) });
  });

  it('has the right gradient when both sides are the same value', () => {
    checkGradients({ inputs: { a: [5] }, build: ({ a }) => add(a!, a!) });
  });

  it('refuses another shape', () => {
    const graph = createGraph();
    expect(() => add(input(graph, 'a', [2, 3]), input(graph, 'b', [3]))).toThrow(
      '[add] shape of b: expected [2,3], got [3]',
    );
  });
});
