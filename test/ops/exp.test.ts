import { describe, expect, it } from 'vitest';
import { exp } from '../../lib/ops/exp.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('exp', () => {
  it('is e to the x', () => {
    const given = { x: { shape: [3], values: [0, 1, -2] } };
    expect(evaluate(given, ({ x }) => exp(x!))).toEqual([[1, Math.E, Math.exp(-2)]]);
  });

  it('has the right gradient', () => {
    checkGradients({ inputs: { x: [2, 3] }, build: ({ x }) => exp(x!) });
  });
});
