import { describe, expect, it } from 'vitest';
import { createGraph, input, type Value, within } from '../../lib/graph/graph.js';
import { conv2dResidual } from '../../lib/ops/conv2dResidual.js';
import { groupNorm } from '../../lib/ops/groupNorm.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';

const PLAIN = { pad: 1 };

describe('conv2dResidual', () => {
  it('has right gradients for picture, weight, bias and residual', () => {
    checkGradients({
      inputs: { x: [2, 3, 4, 2], w: [3, 3, 3, 2], b: [3], r: [2, 3, 4, 3] },
      build: ({ x, w, b, r }) => conv2dResidual(x!, w!, b!, r!, PLAIN),
    });
  });

  it('has right gradients with a stride, without a bias, and where the residual is x', () => {
    checkGradients({
      inputs: { x: [1, 5, 4, 2], w: [3, 2, 2, 2], r: [1, 2, 2, 3] },
      build: ({ x, w, r }) => conv2dResidual(x!, w!, null, r!, { stride: 2 }),
    });
    checkGradients({
      inputs: { x: [1, 3, 3, 2], w: [2, 3, 3, 2], b: [2] },
      build: ({ x, w, b }) => conv2dResidual(x!, w!, b!, x!, PLAIN),
    });
  });

  it('has right gradients in a residual block whose shortcut adds what the block made', () => {
    const block = ({ x, g, w, s, b }: Record<string, Value>): Value => {
      const normed = groupNorm(x!, g!, b!, { groups: 1, eps: 1e-5 });
      return conv2dResidual(x!, s!, b!, conv2dResidual(normed, w!, b!, x!, PLAIN));
    };
    checkGradients({ inputs: { x: [1, 3, 3, 2], g: [2], w: [2, 3, 3, 2], s: [2, 1, 1, 2], b: [2] }, build: block });
  });

  it('gives the residual the gradient itself, and nothing runs where that alone is wanted', () => {
    const graph = createGraph();
    const given = (name: string, shape: number[]): Value => input(graph, name, shape);
    const [x, w, r] = [given('x', [1, 3, 3, 2]), given('w', [4, 3, 3, 2]), given('r', [1, 3, 3, 4])];
    const y = conv2dResidual(x, w, null, r, PLAIN);
    const dy = given('dy', [1, 3, 3, 4]);
    expect(grad(y, dy, [r])).toEqual([dy]);
    expect(graph.nodes).toHaveLength(1);
  });

  it('names op, what is wrong and place', () => {
    const graph = createGraph();
    const given = (...shape: number[]): Value => input(graph, shape.join(), shape, 'bf16');
    const [x, w] = [given(1, 3, 3, 2), given(4, 3, 3, 2)];
    const build = (body: () => unknown) => (): unknown => within(graph, 'mid_block', body);
    expect(build(() => conv2dResidual(x, w, null, given(1, 3, 3, 2), PLAIN))).toThrow(
      '[conv2dResidual] shape of residual: expected [1,3,3,4], got [1,3,3,2] (at mid_block)',
    );
    expect(build(() => conv2dResidual(x, w, null, input(graph, 'r', [1, 3, 3, 4]), PLAIN))).toThrow(
      '[conv2dResidual] type of residual: expected bf16, got f32 (at mid_block)',
    );
    expect(build(() => conv2dResidual(given(1, 3, 3, 5), w, null, given(1, 3, 3, 4), PLAIN))).toThrow(
      '[conv2dResidual] channels of x: expected 2, got 5 (at mid_block)',
    );
  });
});
