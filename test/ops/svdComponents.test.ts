import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { svdComponents } from '../../lib/ops/svdComponents.js';
import { evaluate, expectNear } from '../support/evaluate.js';

describe('svdComponents', () => {
  it('gives ranges of triples, with the largest entry of each row of down positive', () => {
    // diag(3, 1, 2) with a sign, as a 3 × 4 matrix
    const w = { shape: [3, 4], values: [3, 0, 0, 0, 0, -1, 0, 0, 0, 0, 2, 0] };
    const parts = (which: 'last' | 'principal'): number[][] =>
      evaluate({ w }, ({ w }) => Object.values(svdComponents(w!, { rank: 2, which })));
    const [up, sigma, down] = parts('last');
    expectNear(sigma, [2, 1]);
    expectNear(up, [0, 0, 0, -1, 1, 0]);
    expectNear(down, [0, 0, 1, 0, 0, 1, 0, 0]);
    expectNear(parts('principal')[1], [3, 2]);
  });

  it('gives shapes, and refuses a rank above the smaller side', () => {
    const w = input(createGraph(), 'w', [3, 4]);
    const { up, sigma, down } = svdComponents(w, { rank: 2, which: 'middle' });
    expect([up.shape, sigma.shape, down.shape]).toEqual([[3, 2], [2], [2, 4]]);
    expect(() => svdComponents(w, { rank: 4, which: 'last' })).toThrow('[svdComponents] rank: expected 1 to 3, got 4');
  });
});
