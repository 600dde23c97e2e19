import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { sumSamples } from '../../lib/ops/sumSamples.js';
import { evaluate } from '../support/evaluate.js';

describe('sumSamples', () => {
  it('sums over the samples', () => {
    const x = { shape: [2, 2, 2], values: [1, 2, 3, 4, 5, 6, 7, 8] };
    expect(evaluate({ x }, (values) => sumSamples(values.x!))).toEqual([[6, 8, 10, 12]]);
  });

  it('refuses a picture', () => {
    expect(() => sumSamples(input(createGraph(), 'x', [1, 2, 2, 4]))).toThrow(
      '[sumSamples] dimensions of x: expected 3, got [1,2,2,4]',
    );
  });
});
