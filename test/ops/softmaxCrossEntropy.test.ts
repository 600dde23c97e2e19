import { describe, expect, it } from 'vitest';
import { createGraph, input, type Value } from '../../lib/graph/graph.js';
import { softmaxCrossEntropy } from '../../lib/ops/softmaxCrossEntropy.js';
import { grad } from '../../lib/transform/grad.js';
import { evaluate } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

const labels = { shape: [2], values: [2, 0], dtype: 'i32' as const };

describe('softmaxCrossEntropy', () => {
  it('is minus the logarithm of the probability of the label', () => {
    const given = { x: { shape: [2, 3], values: [0, 0, Math.log(2), 0, 0, 0] }, labels };
    const [[loss], perSample] = evaluate(given, ({ x, labels: l }) => {
      const made = softmaxCrossEntropy(x!, l!);
      return [made.loss, made.perSample];
    }) as [[number], number[]];
    expect(perSample[0]).toBeCloseTo(Math.log(2), 12);
    expect(perSample[1]).toBeCloseTo(Math.log(3), 12);
    expect(loss).toBeCloseTo(Math.log(6) / 2, 12);
  });

  it('has the right gradient', () => {
    const build = ({ x, labels: l }: Record<string, Value>): Value => softmaxCrossEntropy(x!, l!).loss;
    checkGradients({ inputs: { x: [2, 3] }, fixed: { labels }, build });
  });

  it('says what has no gradient, and refuses wrong shapes and types', () => {
    const graph = createGraph();
    const [x, l] = [input(graph, 'x', [2, 3]), input(graph, 'l', [2], 'i32')];
    const { perSample } = softmaxCrossEntropy(x, l);
    expect(() => grad(perSample, input(graph, 'seed', [2]), [x])).toThrow('[softmaxCrossEntropy] only the loss');
    expect(() => softmaxCrossEntropy(x, input(graph, 'm', [3], 'i32'))).toThrow('shape of labels: expected [2]');
    expect(() => softmaxCrossEntropy(x, input(graph, 'f', [2]))).toThrow('type of labels: expected i32, got f32');
  });
});
