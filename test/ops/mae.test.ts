import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { mae } from '../../lib/ops/mae.js';
import { grad } from '../../lib/transform/grad.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('mae', () => {
  it('is the mean distance', () => {
    const given = { p: { shape: [2, 2], values: [1, 2, 3, 4] }, t: { shape: [2, 2], values: [1, 4, 0, 3] } };
    expect(evaluate(given, ({ p, t }) => mae(p!, t!))).toEqual([[1.5]]);
  });

  it('has the right gradient for the prediction', () => {
    const fixed = { t: { shape: [2, 3], values: [1, -1, 0.5, 2, 0, -3] } };
    checkGradients({ inputs: { p: [2, 3] }, fixed, build: ({ p, t }) => mae(p!, t!) });
  });

  it('has gradient 0 where both are equal', () => {
    const given = {
      p: { shape: [2], values: [1, 2] },
      t: { shape: [2], values: [1, 5] },
      seed: { shape: [1], values: [4] },
    };
    expect(evaluate(given, ({ p, t, seed }) => grad(mae(p!, t!), seed!, [p!])[0]!)).toEqual([[0, -2]]);
  });

  it('says what has no gradient, and refuses another shape', () => {
    const graph = createGraph();
    const [p, t] = [input(graph, 'p', [2, 3]), input(graph, 't', [2, 3])];
    expect(() => grad(mae(p, t), input(graph, 'seed', [1]), [t])).toThrow('[mae] the target has no gradient rule');
    expect(() => mae(p, input(graph, 'u', [6]))).toThrow('[mae] shape of target: expected [2,3], got [6]');
  });
});
