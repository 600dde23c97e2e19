import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { gradNorm } from '../../lib/ops/gradNorm.js';
import { evaluate } from '../support/evaluate.js';

describe('gradNorm', () => {
  it('is the Euclidean norm', () => {
    expect(evaluate({ g: { shape: [3], values: [2, -3, 6] } }, ({ g }) => gradNorm(g!))).toEqual([[7]]);
  });

  it('refuses a matrix', () => {
    expect(() => gradNorm(input(createGraph(), 'g', [2, 3]))).toThrow(
      '[gradNorm] dimensions of grads: expected 1, got [2,3]',
    );
  });
});
