import { describe, expect, it } from 'vitest';
import { createGraph, elements, input, type Value, weight, within } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { concat } from '../../lib/ops/concat.js';
import { linear } from '../../lib/ops/linear.js';
import { type LowRankFactors, lowRank } from '../../lib/ops/lowRank.js';
import { lowRankBranch } from '../../lib/ops/lowRankBranch.js';
import { lowRankFactors } from '../../lib/ops/lowRankFactors.js';
import { scale } from '../../lib/ops/scale.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';
import { interpret } from '../support/interpreter.js';
import { type FactorSizes, startShapes, trainedShapes } from '../support/lowRankShapes.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

interface Sizes extends FactorSizes {
  t: number;
  ranks: readonly number[];
  equalRanks?: boolean;
}

const shapesOf = ({ t, width, out, r, ranks, form }: Sizes): Record<string, number[]> => ({
  base: [ranks.length, t, out],
  x: [ranks.length, t, width],
  ...trainedShapes({ width, out, r, form }),
  ...startShapes({ width, out, r, form }),
});

type Form = (values: Record<string, Value>) => Value;

const whole: Form = ({ base, x, activeRank, ...factors }) =>
  lowRank(base!, x!, factors as unknown as LowRankFactors, activeRank!, { scale: 0.7 });

const stacked =
  (equalRanks: boolean): Form =>
  ({ base, x, activeRank, ...factors }) => {
    const layer = factors as unknown as LowRankFactors;
    const [made] = lowRankFactors([[layer]], activeRank!, { dtype: x!.dtype, equalRanks });
    return lowRankBranch(base!, x!, made!, { scale: 0.7 });
  };

/** Layers that read one x: names of each one's values end in its number. */
const LAYERS = ['1', '2', '3'];

const groupShapes = (sizes: Sizes): Record<string, number[]> => {
  const { x, ...each } = shapesOf(sizes);
  const named = LAYERS.flatMap((l) =>
    Object.entries(each).map(([name, shape]): [string, number[]] => [name + l, shape]),
  );
  return { x: x!, ...Object.fromEntries(named) };
};

const factorsOf = (values: Record<string, Value>, l: string): LowRankFactors => {
  const { base, ...factors } = Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (name.endsWith(l) ? [[name.slice(0, -1), value]] : [])),
  );
  return factors as unknown as LowRankFactors;
};

const joined = (values: readonly Value[]): Value => values.reduce((all, value) => concat(all, value));

const each: Form = (values) =>
  joined(
    LAYERS.map((l) => {
      return lowRank(values[`base${l}`]!, values.x!, factorsOf(values, l), values.activeRank!, { scale: 0.7 });
    }),
  );

const together =
  (equalRanks: boolean): Form =>
  (values) => {
    const group = LAYERS.map((l) => factorsOf(values, l));
    const [made] = lowRankFactors([group], values.activeRank!, { dtype: 'f32', equalRanks });
    return lowRankBranch(joined(LAYERS.map((l) => values[`base${l}`]!)), values.x!, made!, { scale: 0.7 });
  };

/** y and the gradients of what is trained, in float64. */
function evaluate(form: Form, sizes: Sizes, shapes = shapesOf(sizes)): Map<string, number[]> {
  const random = pseudoRandom(3);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const values: Record<string, Value> = {};
  const make = (name: string, shape: readonly number[]): Value => {
    const value = input(graph, name, shape);
    leaves.set(
      value,
      Float64Array.from({ length: elements(shape) }, () => random.normal()),
    );
    return value;
  };
  for (const [name, shape] of Object.entries(shapes)) values[name] = make(name, shape);
  const activeRank = input(graph, 'activeRank', [sizes.ranks.length], 'i32');
  leaves.set(activeRank, Float64Array.from(sizes.ranks));
  const y = form({ ...values, activeRank });
  const trained = Object.keys(values).filter((name) => !/0\d?$/.test(name));
  const gradients = grad(
    y,
    make('dy', y.shape),
    trained.map((name) => values[name]!),
  );
  const all = interpret(graph, leaves);
  const named = trained.map((name, i): [string, number[]] => [`gradient of ${name}`, [...all.get(gradients[i]!)!]]);
  return new Map([['y', [...all.get(y)!]], ...named]);
}

describe('lowRankBranch', () => {
  const same = (got: Map<string, number[]>, expected: Map<string, number[]>): void => {
    expect([...got.keys()]).toEqual([...expected.keys()]);
    for (const [name, values] of expected) {
      got.get(name)!.forEach((value, i) => {
        expect(value, `${name}[${i}]`).toBeCloseTo(values[i]!, 10);
      });
    }
  };

  const all: Sizes[] = [
    { t: 2, width: 4, out: 3, r: 3, ranks: [2], form: 'start' },
    { t: 3, width: 5, out: 7, r: 9, ranks: [2, 0, 99], form: 'start' },
    { t: 2, width: 6, out: 5, r: 8, ranks: [5, 5], form: 'start', equalRanks: true },
    { t: 2, width: 4, out: 3, r: 2, ranks: [1, 2], form: 'diagonal' },
    { t: 4, width: 3, out: 6, r: 10, ranks: [9], form: 'plain' },
  ];

  it.each(all)('is lowRank, forward and backward: %j', (sizes) =>
    same(evaluate(stacked(sizes.equalRanks ?? false), sizes), evaluate(whole, sizes)),
  );

  it.each(all)('is lowRank of each of three layers that read the same x: %j', (sizes) => {
    const shapes = groupShapes(sizes);
    same(evaluate(together(sizes.equalRanks ?? false), sizes, shapes), evaluate(each, sizes, shapes));
  });

  it('adds the gradient that comes through a frozen base to its own, so that no sum is left', () => {
    const graph = createGraph();
    const [x, w, dy] = [input(graph, 'x', [2, 3, 4]), weight(graph, 'w', [5, 4], 'f32'), input(graph, 'dy', [2, 3, 5])];
    const factors = { up: input(graph, 'up', [5, 2]), down: input(graph, 'down', [2, 4]) };
    const activeRank = input(graph, 'activeRank', [2], 'i32');
    const random = pseudoRandom(4);
    const leaves = new Map(
      [x, w, dy, factors.up, factors.down].map((leaf): [Value, Float64Array] => {
        return [leaf, Float64Array.from({ length: elements(leaf.shape) }, () => random.normal())];
      }),
    );
    leaves.set(activeRank, Float64Array.of(1, 2));
    const gradientOf = (y: Value): Value => grad(y, dy, [x])[0]!;
    const branch = (base: Value): Value => stacked(false)({ base, x, activeRank, ...factors });
    const dx = gradientOf(branch(linear(x, w, null)));
    expect(graph.nodes.map(({ op }) => op.name).slice(-2)).toEqual(['linearVjp', 'lowRankBranchVjp']);
    const summed = gradientOf(branch(add(linear(x, w, null), scale(dy, 0))));
    expect(graph.nodes.at(-1)!.op.name).toBe('add');
    const values = interpret(graph, leaves);
    values.get(dx)!.forEach((value, i) => {
      expect(value).toBeCloseTo(values.get(summed)![i]!, 10);
    });
  });

  it('has right gradients with a frozen start and a rank per sample', () => {
    const all = shapesOf({ t: 2, width: 4, out: 3, r: 3, ranks: [2, 0, 9], form: 'start' });
    const random = pseudoRandom(2);
    const start = Object.entries(all).filter(([name]) => name.endsWith('0'));
    checkGradients({
      inputs: Object.fromEntries(Object.entries(all).filter(([name]) => !name.endsWith('0'))),
      fixed: {
        ...Object.fromEntries(
          start.map(([name, shape]) => [
            name,
            { shape, values: Array.from({ length: elements(shape) }, () => random.normal()) },
          ]),
        ),
        activeRank: { shape: [3], values: [2, 0, 9], dtype: 'i32' },
      },
      build: stacked(false),
    });
  });

  it('asks the backward kernel only for what is trained, and reads H', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [2, 3, 4]);
    const [up, down] = [input(graph, 'up', [5, 2]), input(graph, 'down', [2, 4])];
    const activeRank = input(graph, 'activeRank', [2], 'i32');
    const y = stacked(false)({ base: input(graph, 'base', [2, 3, 5]), x, up, down, activeRank });
    const gradients = grad(y, input(graph, 'dy', y.shape), [up, down]);
    expect(gradients.map((value) => value?.name)).toEqual(['dB', 'dDown']);
    const [, branch, gradient, last] = graph.nodes;
    expect(graph.nodes.map(({ op }) => op.name)).toEqual([
      'lowRankFactors',
      'lowRankBranch',
      'lowRankBranchVjp',
      'lowRankFactorsVjp',
    ]);
    expect(gradient!.inputs[3]).toBe(branch!.outputs[1]);
    expect(gradient!.outputs.map((value) => value?.name ?? null)).toEqual([null, 'dA', 'dB']);
    expect(last!.outputs.map((value) => value?.name ?? null)).toEqual([null, 'dDown', null]);
  });

  it('names what does not fit', () => {
    const graph = createGraph();
    const [base, x] = [input(graph, 'base', [3, 2, 5]), input(graph, 'x', [3, 2, 4])];
    const factors = (n: number, dtype: 'f32' | 'bf16' = 'f32') =>
      lowRankFactors(
        [[{ up: input(graph, 'up', [5, 2]), down: input(graph, 'down', [2, 4]) }]],
        input(graph, `ranks of ${n}`, [n], 'i32'),
        { dtype },
      )[0]!;
    const build = (body: () => void) => () => within(graph, 'mid_block', body);
    expect(build(() => lowRankBranch(base, x, factors(2)))).toThrow(
      '[lowRankBranch] copies of a: expected 1 or 3, got 2 (at mid_block)',
    );
    expect(build(() => lowRankBranch(base, x, factors(3, 'bf16')))).toThrow(
      '[lowRankBranch] type of a: expected f32, got bf16 (at mid_block)',
    );
    expect(build(() => lowRankBranch(x, x, factors(3)))).toThrow(
      '[lowRankBranch] shape of base: expected [3,2,5], got [3,2,4] (at mid_block)',
    );
  });
});
