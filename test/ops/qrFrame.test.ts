import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { qrFrame } from '../../lib/ops/qrFrame.js';
import { evaluate, expectNear } from '../support/evaluate.js';

describe('qrFrame', () => {
  it('is Q of the QR factorization with a positive diagonal', () => {
    // [3 1; 4 2] = [0.6 −0.8; 0.8 0.6] · [5 2.2; 0 0.4]
    const g = { shape: [2, 2], values: [3, 1, 4, 2] };
    expectNear(evaluate({ g }, ({ g }) => qrFrame(g!))[0], [0.6, -0.8, 0.8, 0.6]);
    expectNear(evaluate({ g }, ({ g }) => qrFrame(g!, { transposed: true }))[0], [0.6, 0.8, -0.8, 0.6]);
  });

  it('treats layers apart', () => {
    const g = { shape: [2, 2, 1], values: [3, 4, 0, -2] };
    expectNear(evaluate({ g }, ({ g }) => qrFrame(g!))[0], [0.6, 0.8, 0, -1]);
  });

  it('gives shapes, and refuses more columns than rows', () => {
    const graph = createGraph();
    expect(qrFrame(input(graph, 'a', [3, 7, 2]), { transposed: true }).shape).toEqual([3, 2, 7]);
    expect(() => qrFrame(input(graph, 'b', [2, 3]))).toThrow('[qrFrame] rows of g: expected at least 3, got 2');
    expect(() => qrFrame(input(graph, 'c', [2]))).toThrow('[qrFrame] dimensions of g: expected 2 or 3, got [2]');
  });
});
