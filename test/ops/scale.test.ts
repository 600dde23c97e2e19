import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { scale } from '../../lib/ops/scale.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('scale', () => {
  it('multiplies by the factor', () => {
    expect(evaluate({ x: { shape: [3], values: [1, -2, 0] } }, ({ x }) => scale(x!, 1.5))).toEqual([[1.5, -3, 0]]);
  });

  it('has the right gradient', () => {
    checkGradients({ inputs: { x: [3, 5] }, build: ({ x }) => scale(x!, -0.18215) });
  });

  it('refuses a factor that is not a number', () => {
    const x = input(createGraph(), 'x', [3]);
    expect(() => scale(x, Number.NaN)).toThrow('[scale] attribute factor: expected a number, got NaN');
  });
});
