import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { l2Normalize } from '../../lib/ops/l2Normalize.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('l2Normalize', () => {
  it('gives rows of length 1, and leaves a row of zeros', () => {
    const given = { x: { shape: [2, 2], values: [3, -4, 0, 0] } };
    const [y] = evaluate(given, ({ x }) => l2Normalize(x!)) as [number[]];
    [0.6, -0.8, 0, 0].forEach((v, i) => {
      expect(y[i]).toBeCloseTo(v, 12);
    });
  });

  it('has the right gradient', () => {
    checkGradients({ inputs: { x: [2, 3] }, build: ({ x }) => l2Normalize(x!) });
    checkGradients({ inputs: { x: [2, 3] }, build: ({ x }) => l2Normalize(x!, { eps: 0.5 }) });
  });

  it('refuses a single number', () => {
    expect(() => l2Normalize(input(createGraph(), 'x', []))).toThrow('[l2Normalize] dimensions of x');
  });
});
