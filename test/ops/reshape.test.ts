import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { reshape } from '../../lib/ops/reshape.js';
import { scale } from '../../lib/ops/scale.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('reshape', () => {
  it('has the right gradient', () => {
    checkGradients({ inputs: { x: [2, 3, 4] }, build: ({ x }) => scale(reshape(scale(x!, 2), [6, 4]), 3) });
  });

  it('refuses another number of elements', () => {
    const x = input(createGraph(), 'x', [2, 3]);
    expect(() => reshape(x, [4])).toThrow('[reshape] elements: expected 6, got 4');
  });
});
