import { describe, expect, it } from 'vitest';
import { createGraph, input, within } from '../../lib/graph/graph.js';
import { conv2d, conv2dOp } from '../../lib/ops/conv2d.js';
import { checkGradients } from '../support/gradientCheck.js';
import { interpret } from '../support/interpreter.js';

describe('conv2d', () => {
  it('is the cross-correlation: a hand-computed 2x2 window', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [1, 2, 3, 1]);
    const w = input(graph, 'w', [1, 2, 2, 1]);
    const y = conv2d(x, w, null);
    const values = interpret(
      graph,
      new Map([
        [x, Float64Array.of(1, 2, 3, 4, 5, 6)],
        [w, Float64Array.of(1, 10, 100, 1000)],
      ]),
    );
    expect([...values.get(y)!]).toEqual([5421, 6532]);
  });

  it('has right gradients with padding and a bias', () => {
    checkGradients({
      inputs: { x: [2, 4, 3, 2], w: [3, 3, 3, 2], b: [3] },
      build: ({ x, w, b }) => conv2d(x!, w!, b!, { pad: 1 }),
    });
  });

  it('has right gradients with stride 2 and padding on two sides only', () => {
    checkGradients({
      inputs: { x: [1, 5, 4, 2], w: [2, 3, 3, 2] },
      build: ({ x, w }) => conv2d(x!, w!, null, { stride: 2, pad: [0, 0, 1, 1] }),
    });
  });

  it('has right gradients for 1x1 windows', () => {
    checkGradients({
      inputs: { x: [1, 2, 3, 3], w: [2, 1, 1, 3], b: [2] },
      build: ({ x, w, b }) => conv2d(x!, w!, b!),
    });
  });

  it('gives the output size and counts its arithmetic', () => {
    const graph = createGraph();
    const y = conv2d(input(graph, 'x', [2, 9, 8, 4]), input(graph, 'w', [6, 3, 3, 4]), null, { stride: 2, pad: 1 });
    expect(y.shape).toEqual([2, 5, 4, 6]);
    expect(conv2dOp.flops!(y.node!)).toBe(2 * 2 * 5 * 4 * 6 * 36);
  });

  it('names op, sizes and place when channels are wrong', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [1, 8, 8, 4]);
    const w = input(graph, 'w', [320, 3, 3, 320]);
    expect(() => within(graph, 'conv_in', () => conv2d(x, w, null))).toThrow(
      '[conv2d] channels of x: expected 320, got 4 (at conv_in)',
    );
  });

  it('refuses a window larger than the padded picture, and a bad stride', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [1, 2, 2, 1]);
    const w = input(graph, 'w', [1, 3, 3, 1]);
    expect(() => conv2d(x, w, null)).toThrow('[conv2d] padded picture: expected at least 3x3, got 2x2');
    expect(() => conv2d(x, w, null, { stride: 0, pad: 1 })).toThrow('[conv2d] stride: expected an integer >= 1, got 0');
  });
});
