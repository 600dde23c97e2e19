import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { klDivergence } from '../../lib/ops/klDivergence.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('klDivergence', () => {
  it('is 0 for the unit normal and grows with mean and variance', () => {
    const given = { mean: { shape: [2], values: [0, 3] }, logvar: { shape: [2], values: [0, Math.log(4)] } };
    const [[kl]] = evaluate(given, ({ mean, logvar }) => klDivergence(mean!, logvar!)) as [[number]];
    expect(kl).toBeCloseTo((0.5 * (9 + 4 - 1 - Math.log(4))) / 2, 12);
  });

  it('has right gradients, together and alone', () => {
    checkGradients({ inputs: { m: [2, 3], v: [2, 3] }, build: ({ m, v }) => klDivergence(m!, v!) });
    const fixed = { m: { shape: [3], values: [1, -1, 0.5] } };
    checkGradients({ inputs: { v: [3] }, fixed, build: ({ m, v }) => klDivergence(m!, v!) });
  });

  it('refuses other shapes', () => {
    const graph = createGraph();
    expect(() => klDivergence(input(graph, 'm', [2]), input(graph, 'v', [3]))).toThrow(
      '[klDivergence] shape of logvar: expected [2], got [3]',
    );
  });
});
