import { describe, expect, it } from 'vitest';
import { createGraph, input, within } from '../../lib/graph/graph.js';
import { linear } from '../../lib/ops/linear.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('linear', () => {
  it('has right gradients for input, weight and bias', () => {
    checkGradients({ inputs: { x: [2, 3, 5], w: [4, 5], b: [4] }, build: ({ x, w, b }) => linear(x!, w!, b!) });
  });

  it('has right gradients without a bias', () => {
    checkGradients({ inputs: { x: [1, 5], w: [1, 5] }, build: ({ x, w }) => linear(x!, w!, null) });
  });

  it('names op, sizes and place when the width is wrong', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [2, 3]);
    const w = input(graph, 'w', [4, 5]);
    expect(() => within(graph, 'mid_block.attentions.0', () => linear(x, w, null))).toThrow(
      '[linear] last size of x: expected 5, got 3 (at mid_block.attentions.0)',
    );
  });
});
