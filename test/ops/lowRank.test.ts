import { describe, expect, it } from 'vitest';
import { createGraph, input, type Value, within } from '../../lib/graph/graph.js';
import { type LowRankFactors, lowRank } from '../../lib/ops/lowRank.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';
import { interpret } from '../support/interpreter.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const shapes = (n: number, t: number, width: number, out: number, r: number) => ({
  base: [n, t, out],
  x: [n, t, width],
  up: [out, r],
  down: [r, width],
  lambda: [r],
  up0: [out, r],
  down0: [r, width],
  lambda0: [r],
});

type Name = keyof ReturnType<typeof shapes>;

/** Values of y and of the gradients of what is trained, in float64, for a gradient of ones. */
function evaluate(
  sizes: Record<Name, number[]>,
  data: Record<Name, Float64Array>,
  ranks: number[],
): Record<string, Float64Array> {
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const values = {} as Record<Name, Value>;
  for (const name of Object.keys(sizes) as Name[]) {
    values[name] = input(graph, name, sizes[name]);
    leaves.set(values[name], data[name]);
  }
  const activeRank = input(graph, 'activeRank', [ranks.length], 'i32');
  leaves.set(activeRank, Float64Array.from(ranks));
  const { base, x, ...factors } = values;
  const y = lowRank(base, x, factors, activeRank, { scale: 0.5 });
  const seed = input(graph, 'dy', y.shape);
  leaves.set(seed, new Float64Array(data.base.length).fill(1));
  const trained = { dx: x, dUp: values.up, dDown: values.down, dLambda: values.lambda };
  const gradients = grad(y, seed, Object.values(trained));
  const all = interpret(graph, leaves);
  const named = Object.keys(trained).map((name, i) => [name, all.get(gradients[i]!)!]);
  return { y: all.get(y)!, ...Object.fromEntries(named) };
}

function randomData(sizes: Record<Name, number[]>): Record<Name, Float64Array> {
  const random = pseudoRandom(3);
  const draw = (shape: number[]) => Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal());
  return Object.fromEntries(Object.entries(sizes).map(([name, shape]) => [name, draw(shape)])) as Record<
    Name,
    Float64Array
  >;
}

describe('lowRank', () => {
  it('has right gradients with a frozen start and a rank per sample', () => {
    const { up0, down0, lambda0, ...inputs } = shapes(3, 2, 4, 3, 3);
    const random = pseudoRandom(2);
    const values = (count: number) => Array.from({ length: count }, () => random.normal());
    checkGradients({
      inputs,
      fixed: {
        up0: { shape: up0, values: values(9) },
        down0: { shape: down0, values: values(12) },
        lambda0: { shape: lambda0, values: values(3) },
        activeRank: { shape: [3], values: [2, 0, 9], dtype: 'i32' },
      },
      build: ({ base, x, activeRank, ...factors }) =>
        lowRank(base!, x!, factors as unknown as LowRankFactors, activeRank!, { scale: 0.7 }),
    });
  });

  it('has right gradients for plain LoRA, with and without lambda', () => {
    const { up0: _up0, down0: _down0, lambda0: _lambda0, ...inputs } = shapes(1, 3, 2, 4, 2);
    const fixed = { activeRank: { shape: [1], values: [2], dtype: 'i32' as const } };
    checkGradients({
      inputs,
      fixed,
      build: ({ base, x, up, down, lambda, activeRank }) =>
        lowRank(base!, x!, { up: up!, down: down!, lambda: lambda! }, activeRank!),
    });
    const { lambda: _lambda, ...plain } = inputs;
    checkGradients({
      inputs: plain,
      fixed,
      build: ({ base, x, up, down, activeRank }) => lowRank(base!, x!, { up: up!, down: down! }, activeRank!),
    });
  });

  it('gives a batch of four ranks what four batches of one give', () => {
    const sizes = shapes(4, 2, 5, 3, 4);
    const data = randomData(sizes);
    const ranks = [0, 1, 3, 4];
    const batch = evaluate(sizes, data, ranks);
    const single = ranks.map((rank, i) => {
      const { base, x } = data;
      const one = { ...data, base: base.slice(i * 6, i * 6 + 6), x: x.slice(i * 10, i * 10 + 10) };
      return evaluate(shapes(1, 2, 5, 3, 4), one, [rank]);
    });
    for (const name of ['y', 'dx']) {
      expect([...batch[name]!]).toEqual(single.flatMap((s) => [...s[name]!]));
    }
    for (const name of ['dUp', 'dDown', 'dLambda']) {
      batch[name]!.forEach((value, k) => {
        expect(value).toBeCloseTo(
          single.reduce((sum, s) => sum + s[name]![k]!, 0),
          12,
        );
      });
    }
  });

  it('asks the backward kernel only for what is trained', () => {
    const graph = createGraph();
    const names = ['base', 'x', 'up', 'down'] as const;
    const sizes = shapes(2, 3, 4, 5, 2);
    const { base, x, up, down } = Object.fromEntries(
      names.map((name) => [name, input(graph, name, sizes[name])]),
    ) as Record<(typeof names)[number], Value>;
    const y = lowRank(base, x, { up, down }, input(graph, 'activeRank', [2], 'i32'));
    const gradients = grad(y, input(graph, 'dy', y.shape), [base, up]);
    expect(gradients.map((value) => value?.name)).toEqual(['dy', 'dUp']);
    expect(graph.nodes.map((node) => node.op.name)).toEqual(['lowRank', 'lowRankVjp']);
    expect(graph.nodes[1]!.outputs.map((value) => value?.name ?? null)).toEqual([null, 'dUp', null, null]);
  });

  it('names what does not fit', () => {
    const graph = createGraph();
    const sizes = shapes(2, 3, 4, 5, 2);
    const make = (name: Name) => input(graph, name, sizes[name]);
    const [base, x, up, down, up0] = [make('base'), make('x'), make('up'), make('down'), make('up0')];
    const activeRank = input(graph, 'activeRank', [2], 'i32');
    const build = (body: () => void) => () => within(graph, 'mid_block', body);
    expect(build(() => lowRank(base, x, { up, down: up }, activeRank))).toThrow(
      '[lowRank] shape of down: expected [2,4], got [5,2] (at mid_block)',
    );
    expect(build(() => lowRank(base, x, { up, down, up0 }, activeRank))).toThrow(
      '[lowRank] frozen start: expected lambda, up0, down0, lambda0 together, got up0 (at mid_block)',
    );
    expect(build(() => lowRank(base, x, { up, down }, input(graph, 'ranks', [3], 'i32')))).toThrow(
      '[lowRank] size of activeRank: expected 2, got 3 (at mid_block)',
    );
    expect(build(() => lowRank(base, x, { up, down }, input(graph, 'real', [2])))).toThrow(
      '[lowRank] type of activeRank: expected i32, got f32 (at mid_block)',
    );
  });
});
