import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { mse } from '../../lib/ops/mse.js';
import { grad } from '../../lib/transform/grad.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('mse', () => {
  it('gives the mean of everything and of each sample', () => {
    const given = { p: { shape: [2, 2], values: [1, 2, 3, 4] }, t: { shape: [2, 2], values: [1, 4, 0, 3] } };
    expect(
      evaluate(given, ({ p, t }) => {
        const { loss, perSample } = mse(p!, t!);
        return [loss, perSample];
      }),
    ).toEqual([[3.5], [2, 5]]);
  });

  it('has the right gradient for the prediction', () => {
    const fixed = { t: { shape: [2, 3], values: [1, -1, 0.5, 2, 0, -3] } };
    checkGradients({ inputs: { p: [2, 3] }, fixed, build: ({ p, t }) => mse(p!, t!).loss });
  });

  it('says what has no gradient', () => {
    const graph = createGraph();
    const [p, t] = [input(graph, 'p', [2, 3]), input(graph, 't', [2, 3])];
    const { perSample } = mse(p, t);
    expect(() => grad(perSample, input(graph, 'seed', [2]), [p])).toThrow(
      '[mse] only the loss with respect to the prediction',
    );
  });

  it('refuses another shape', () => {
    const graph = createGraph();
    expect(() => mse(input(graph, 'p', [2, 3]), input(graph, 't', [2, 4]))).toThrow(
      '[mse] shape of target: expected [2,3], got [2,4]',
    );
  });
});
