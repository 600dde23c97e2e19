import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { mixPerSample } from '../../lib/ops/mixPerSample.js';
import { grad } from '../../lib/transform/grad.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

const coefficients = { a: { shape: [2], values: [2, 0.5] }, b: { shape: [2], values: [-1, 3] } };

describe('mixPerSample', () => {
  it('mixes each sample with its own coefficients', () => {
    const given = {
      x: { shape: [2, 2], values: [1, 2, 3, 4] },
      y: { shape: [2, 2], values: [10, 20, 30, 40] },
      ...coefficients,
    };
    expect(evaluate(given, ({ x, y, a, b }) => mixPerSample(x!, y!, a!, b!))).toEqual([[-8, -16, 91.5, 122]]);
  });

  it('has right gradients for both pictures', () => {
    const inputs = { x: [2, 3, 2], y: [2, 3, 2] };
    checkGradients({ inputs, fixed: coefficients, build: ({ x, y, a, b }) => mixPerSample(x!, y!, a!, b!) });
  });

  it('says that coefficients have no gradient', () => {
    const graph = createGraph();
    const [x, a] = [input(graph, 'x', [2, 3]), input(graph, 'a', [2])];
    const y = mixPerSample(x, x, a, a);
    expect(() => grad(y, input(graph, 'dy', [2, 3]), [a])).toThrow('[mixPerSample] a and b have no gradient rule');
  });

  it('refuses coefficients for another number of samples', () => {
    const graph = createGraph();
    const [x, a, b] = [input(graph, 'x', [2, 3]), input(graph, 'a', [2]), input(graph, 'b', [3])];
    expect(() => mixPerSample(x, x, a, b)).toThrow('[mixPerSample] shape of b: expected [2], got [3]');
  });
});
