import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { upsampleNearest } from '../../lib/ops/upsampleNearest.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('upsampleNearest', () => {
  it('repeats as torch does, at a size that is no multiple', () => {
    const given = { x: { shape: [1, 2, 3, 1], values: [1, 2, 3, 4, 5, 6] } };
    // torch 2: F.interpolate(arange(1, 7).reshape(1, 1, 2, 3), size=(3, 5), mode='nearest')
    expect(evaluate(given, ({ x }) => upsampleNearest(x!, { height: 3, width: 5 }))).toEqual([
      [1, 1, 2, 2, 3, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6],
    ]);
  });

  it.each([
    [6, 4],
    [5, 3],
    [2, 1],
  ])('has the right gradient at %i × %i', (height, width) => {
    checkGradients({ inputs: { x: [2, 3, 2, 2] }, build: ({ x }) => upsampleNearest(x!, { height, width }) });
  });

  it('refuses broken sizes', () => {
    const x = input(createGraph(), 'x', [1, 2, 2, 3]);
    expect(() => upsampleNearest(x, { height: 2.5, width: 0 })).toThrow(
      '[upsampleNearest] height and width: expected integers above 0, got 2.5, 0',
    );
  });
});
