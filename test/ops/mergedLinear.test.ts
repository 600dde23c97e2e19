import { describe, expect, it } from 'vitest';
import { createGraph, input, type Value } from '../../lib/graph/graph.js';
import { linear } from '../../lib/ops/linear.js';
import { type LowRankFactors, lowRank } from '../../lib/ops/lowRank.js';
import { mergedLinear } from '../../lib/ops/mergedLinear.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';
import { interpret } from '../support/interpreter.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const N = 2;
const OUT = 3;
const WIDTH = 4;
const R = 3;
const SHAPES = {
  x: [N, 2, WIDTH],
  up: [OUT, R],
  down: [R, WIDTH],
  lambda: [R],
};
const FROZEN = { w: [OUT, WIDTH], b: [OUT], up0: [OUT, R], down0: [R, WIDTH], lambda0: [R] };

const values = (shape: readonly number[], seed: number): number[] => {
  const random = pseudoRandom(seed);
  return Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal());
};

const fixed = (rank: number, names: readonly (keyof typeof FROZEN)[]) => ({
  ...Object.fromEntries(names.map((name, i) => [name, { shape: FROZEN[name], values: values(FROZEN[name], i + 2) }])),
  activeRank: { shape: [N], values: [rank, rank], dtype: 'i32' as const },
});

const build = ({ x, w, b, activeRank, ...factors }: Record<string, Value>): Value =>
  mergedLinear(x!, w!, b ?? null, factors as unknown as LowRankFactors, activeRank!, { scale: 0.7 });

describe('mergedLinear', () => {
  it('has right gradients with a frozen start, behind a mask', () => {
    checkGradients({ inputs: SHAPES, fixed: fixed(2, ['w', 'b', 'up0', 'down0', 'lambda0']), build });
  });

  it('has right gradients for plain LoRA, with and without lambda', () => {
    checkGradients({ inputs: SHAPES, fixed: fixed(9, ['w']), build });
    const { lambda: _lambda, ...plain } = SHAPES;
    checkGradients({ inputs: plain, fixed: fixed(1, ['w', 'b']), build });
  });

  it('means a linear layer and its branch', () => {
    const graph = createGraph();
    const leaves = new Map<Value, Float64Array>();
    const all: Record<string, Value> = {};
    Object.entries({ ...SHAPES, ...FROZEN }).forEach(([name, shape], i) => {
      all[name] = input(graph, name, shape);
      leaves.set(all[name], Float64Array.from(values(shape, i + 20)));
    });
    all.activeRank = input(graph, 'activeRank', [N], 'i32');
    leaves.set(all.activeRank, Float64Array.of(2, 2));
    const { x, w, b, activeRank, ...factors } = all;
    const apart = lowRank(linear(x!, w!, b!), x!, factors as unknown as LowRankFactors, activeRank, { scale: 0.7 });
    const merged = build(all);
    const seed = input(graph, 'dy', merged.shape);
    leaves.set(seed, Float64Array.from(values(merged.shape, 40)));
    const trained = [x!, factors.up!, factors.down!, factors.lambda!];
    const pairs = grad(apart, seed, trained).map(
      (gradient, i) => [gradient!, grad(merged, seed, trained)[i]!] as const,
    );
    const found = interpret(graph, leaves);
    for (const [a, m] of [[apart, merged] as const, ...pairs]) {
      found.get(m)!.forEach((value, i) => {
        expect(value).toBeCloseTo(found.get(a)![i]!, 12);
      });
    }
  });

  it('refuses a weight of another size, and gradients of what is frozen', () => {
    const graph = createGraph();
    const of = (name: string, shape: readonly number[]): Value => input(graph, name, shape);
    const x = of('x', SHAPES.x);
    const activeRank = input(graph, 'activeRank', [N], 'i32');
    const factors = { up: of('up', SHAPES.up), down: of('down', SHAPES.down) };
    const merge = (w: Value, b: Value | null = null): Value => mergedLinear(x, w, b, factors, activeRank);
    expect(() => merge(of('rows', [OUT + 1, WIDTH]))).toThrow(/\[mergedLinear\] rows of w: expected 3, got 4/);
    expect(() => merge(of('columns', [OUT, 1]))).toThrow(/\[mergedLinear\] columns of w: expected 4, got 1/);
    const w = of('w', FROZEN.w);
    expect(() => merge(w, of('b', [1]))).toThrow(/\[mergedLinear\] size of b: expected 3, got 1/);
    const y = merge(w);
    expect(() => grad(y, input(graph, 'dy', y.shape), [w])).toThrow(/\[mergedLinear\] w and b are frozen/);
  });
});
