import { describe, expect, it } from 'vitest';
import { createGraph, input, type Value, weight, within } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { linear } from '../../lib/ops/linear.js';
import { linearResidual } from '../../lib/ops/linearResidual.js';
import { lowRankBranch } from '../../lib/ops/lowRankBranch.js';
import { lowRankFactors } from '../../lib/ops/lowRankFactors.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';

const [N, T, IN, OUT] = [2, 3, 5, 4];

type Values = Record<string, Value>;

/** An adapted layer whose product adds r. */
function adapted({ x, w, b, r, up, down, activeRank }: Values): Value {
  const [stacked] = lowRankFactors([[{ up: up!, down: down! }]], activeRank!, { dtype: 'f32' });
  return lowRankBranch(linearResidual(x!, w!, b ?? null, r!), x!, stacked!, { scale: 0.7 });
}

const fixed = { activeRank: { shape: [N], values: [1, 2], dtype: 'i32' as const } };
const all = { x: [N, T, IN], w: [OUT, IN], b: [OUT], r: [N, T, OUT], up: [OUT, 2], down: [2, IN] };

describe('linearResidual', () => {
  it('has right gradients for input, weight, bias and residual', () => {
    checkGradients({
      inputs: { x: [2, 3, 5], w: [4, 5], b: [4], r: [2, 3, 4] },
      build: ({ x, w, b, r }) => linearResidual(x!, w!, b!, r!),
    });
  });

  it('has right gradients without a bias, and where the residual is x', () => {
    checkGradients({ inputs: { x: [3, 4], w: [4, 4] }, build: ({ x, w }) => linearResidual(x!, w!, null, x!) });
  });

  it('adds the gradient that x has from elsewhere', () => {
    checkGradients({
      inputs: { x: [2, 3, 5], w: [4, 5], b: [4], v: [4, 5], r: [2, 3, 4] },
      build: ({ x, w, b, v, r }) => add(linearResidual(x!, w!, b!, r!), linear(x!, v!, null)),
    });
    checkGradients({
      inputs: { x: [3, 4], w: [4, 4] },
      build: ({ x, w }) => add(linearResidual(x!, w!, null, x!), linear(x!, w!, null)),
    });
  });

  it.each([
    ['x and the residual', ['x', 'r']],
    ['x alone', ['x']],
    ['the residual alone', ['r']],
    ['neither', []],
    ['all, weight and bias too', ['x', 'w', 'b', 'r']],
  ])('has right gradients below a low-rank branch of %s', (_what, wanted) => {
    const trained = Object.entries(all).filter(([name]) => [...wanted, 'up', 'down'].includes(name));
    const frozen = Object.entries(all).filter(([name]) => !['up', 'down', ...wanted].includes(name));
    const values = (shape: readonly number[]): number[] =>
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.cos(3 * i + shape.length));
    const given = frozen.map(([name, shape]) => [name, { shape, values: values(shape) }] as const);
    checkGradients({
      inputs: Object.fromEntries(trained),
      fixed: { ...Object.fromEntries(given), ...fixed },
      build: adapted,
    });
  });

  it('keeps the gradient of the residual of a frozen product below a branch, and leaves no sum', () => {
    const graph = createGraph();
    const made = Object.fromEntries(
      Object.entries(all).map(([name, shape]) => [
        name,
        name === 'w' || name === 'b' ? weight(graph, name, shape, 'f32') : input(graph, name, shape),
      ]),
    );
    const y = adapted({ ...made, activeRank: input(graph, 'activeRank', [N], 'i32') });
    const forward = graph.nodes.length;
    const dy = input(graph, 'dy', y.shape);
    const [dx, dr] = grad(y, dy, [made.x!, made.r!]);
    expect(dr).toBe(dy);
    const backward = graph.nodes.slice(forward);
    expect(backward.map(({ op }) => op.name)).toEqual(['lowRankBranchVjp', 'linearResidualVjp']);
    expect(dx).toBe(backward[1]!.outputs[0]);
    expect(backward[1]!.inputs[2]).toBe(backward[0]!.outputs[0]);
  });

  it('names op, what is wrong and place', () => {
    const graph = createGraph();
    const [x, w] = [input(graph, 'x', [2, 5], 'bf16'), input(graph, 'w', [4, 5], 'bf16')];
    const given = (...shape: number[]) => input(graph, shape.join(), shape, 'bf16');
    const build = (body: () => unknown) => (): unknown => within(graph, 'mid_block', body);
    expect(build(() => linearResidual(x, w, null, given(2, 5)))).toThrow(
      '[linearResidual] shape of residual: expected [2,4], got [2,5] (at mid_block)',
    );
    expect(build(() => linearResidual(x, w, null, input(graph, 'r', [2, 4])))).toThrow(/linearResidual.*bf16.*f32/);
    expect(build(() => linearResidual(given(2, 6), w, null, given(2, 4)))).toThrow(
      '[linearResidual] last size of x: expected 5, got 6 (at mid_block)',
    );
    expect(build(() => linearResidual(x, w, given(5), given(2, 4)))).toThrow(
      '[linearResidual] shape of b: expected [4], got [5] (at mid_block)',
    );
  });
});
