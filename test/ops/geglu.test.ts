import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { geglu } from '../../lib/ops/geglu.js';
import { evaluate, expectNear } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('geglu', () => {
  it('multiplies the first half of each row by the gelu of the second', () => {
    const [y] = evaluate({ x: { shape: [2, 4], values: [2, -1, 1.5, -2, 3, 1, 0, 4] } }, ({ x }) => geglu(x!));
    expectNear(y!, [2 * 1.399789198097, 0.045500263896, 0, 3.999873315033]);
  });

  it('has the right gradient', () => {
    checkGradients({ inputs: { x: [2, 3, 10] }, build: ({ x }) => geglu(x!), spread: 2 });
  });

  it('refuses an odd width', () => {
    const x = input(createGraph(), 'x', [2, 5]);
    expect(() => geglu(x)).toThrow('[geglu] last size of x: expected an even number, got 5');
  });
});
