import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { multiplyAdd } from '../../lib/ops/multiplyAdd.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('multiplyAdd', () => {
  it('is x + y · z', () => {
    const given = {
      x: { shape: [2], values: [1, 2] },
      y: { shape: [2], values: [3, 4] },
      z: { shape: [2], values: [5, -6] },
    };
    expect(evaluate(given, ({ x, y, z }) => multiplyAdd(x!, y!, z!))).toEqual([[16, -22]]);
  });

  it('has right gradients', () => {
    checkGradients({ inputs: { x: [2, 3], y: [2, 3], z: [2, 3] }, build: ({ x, y, z }) => multiplyAdd(x!, y!, z!) });
  });

  it('has the right gradient for one factor alone', () => {
    const fixed = { y: { shape: [3], values: [1, -2, 0.5] }, x: { shape: [3], values: [1, 1, 1] } };
    checkGradients({ inputs: { z: [3] }, fixed, build: ({ x, y, z }) => multiplyAdd(x!, y!, z!) });
  });

  it('refuses factors of another shape', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [2, 3]);
    expect(() => multiplyAdd(x, x, input(graph, 'z', [3, 2]))).toThrow(
      '[multiplyAdd] shape of z: expected [2,3], got [3,2]',
    );
  });
});
