import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { sumPerSample } from '../../lib/ops/sumPerSample.js';
import { evaluate } from '../support/evaluate.js';

describe('sumPerSample', () => {
  it('sums the positions of each sample', () => {
    const x = { shape: [2, 2, 1, 2], values: [1, 2, 3, 4, 5, 6, 7, 8] };
    expect(evaluate({ x }, (values) => sumPerSample(values.x!))).toEqual([[4, 6, 12, 14]]);
  });

  it('refuses a vector', () => {
    expect(() => sumPerSample(input(createGraph(), 'x', [4]))).toThrow(
      '[sumPerSample] dimensions of x: expected 2 or more, got [4]',
    );
  });
});
