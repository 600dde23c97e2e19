import { expect, test } from 'vitest';
import { createGraph, input, state, type Value } from '../../../lib/graph/graph.js';
import { adamw } from '../../../lib/ops/adamw.js';
import { relativeError } from '../../support/checkKernel.js';
import { interpret } from '../../support/interpreter.js';
import { runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

const NAMES = ['params', 'm', 'v'] as const;

interface Run {
  before: Float64Array[];
  after: Float32Array[];
  expected: Float64Array[];
}

interface Start {
  threads?: number;
  loss?: number;
  norm?: number;
  /** Steps that the bias corrections count, in place of those of `hyper`. */
  applied?: number;
  /** params, m and v begin at 0. */
  zero?: boolean;
}

/** One step, from the middle of a training by default: what the engine leaves in params, m and v, and what it should. */
async function run(n: number, hyper: number[], start: Start = {}): Promise<Run> {
  const { threads = 2, loss = 0.5, norm = 12, applied, zero = false } = start;
  const random = pseudoRandom(n);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const give = (value: Value, fill: () => number): Value => {
    leaves.set(
      value,
      Float64Array.from({ length: value.shape[0]! }, () => Math.fround(fill())),
    );
    return value;
  };
  const slice = (name: string, fill: () => number): Value =>
    give(state(graph, name, 0, [n], name), () => (zero && name !== 'grads' ? 0 : fill()));
  const [params, m] = [slice('params', random.normal), slice('m', () => 0.1 * random.normal())];
  const v = slice('v', () => (random.uniform() < 0.1 ? 0 : random.normal() ** 2));
  const grads = slice('grads', random.normal);
  const entries = hyper.values();
  const inputs = {
    hyper: give(input(graph, 'hyper', [8]), () => entries.next().value!),
    loss: give(input(graph, 'loss', [1]), () => loss),
    norm: give(input(graph, 'norm', [1]), () => norm),
    applied: applied === undefined ? null : give(input(graph, 'applied', [1]), () => applied),
  };
  const made = adamw({ params, grads, m, v, ...inputs });
  const before = [params, m, v].map((value) => leaves.get(value)!.slice());
  const exact = new Map(leaves).set(inputs.hyper, Float64Array.from(hyper));
  const all = interpret(graph, exact);
  const results = await runNative(graph, leaves, { threads });
  return {
    before,
    after: NAMES.map((name) => results.get(`after ${name}`)!),
    expected: [made.params, made.m, made.v].map((value) => all.get(value)!),
  };
}

const hyper = (t: number, maxNorm: number): number[] => [
  1e-3,
  0.9,
  0.999,
  1e-8,
  0.01,
  1 - 0.9 ** t,
  1 - 0.999 ** t,
  maxNorm,
];

// Two roundings of 6e-8 in a vector; up to 5e-7 in a single m, where m and the gradient can cancel.
for (const n of [1, 7, 33, 40_000]) {
  for (const maxNorm of [0, 1]) {
    test(`adamw [${n}], clipping at ${maxNorm}`, async () => {
      const { after, expected } = await run(n, hyper(3, maxNorm));
      NAMES.forEach((name, i) => {
        expect(relativeError(after[i]!, expected[i]!), name).toBeLessThan(5e-7);
      });
    });
  }
}

// From zeros nothing hides the update: 1 − beta2 must be 0.001 to all digits, though float32 holds 0.999 + 1.3e-8.
test('adamw takes an exact first step', async () => {
  const { after, expected } = await run(1000, hyper(1, 1), { zero: true });
  NAMES.forEach((name, i) => {
    expect(relativeError(after[i]!, expected[i]!), name).toBeLessThan(2e-7);
  });
});

test('adamw corrects for the steps that were applied, where they are counted', async () => {
  for (const applied of [1, 3, 2000]) {
    const counted = await run(1000, hyper(7, 1), { applied });
    const given = await run(1000, hyper(applied, 1));
    NAMES.forEach((name, i) => {
      expect(relativeError(counted.after[i]!, counted.expected[i]!), name).toBeLessThan(5e-7);
      expect(relativeError(counted.after[i]!, given.after[i]!), name).toBeLessThan(1e-7);
    });
  }
});

test('adamw gives the same bits for any number of threads', async () => {
  const [one, three] = [await run(50_000, hyper(3, 1), { threads: 1 }), await run(50_000, hyper(3, 1), { threads: 3 })];
  expect(three.after).toEqual(one.after);
});

test.each([
  [Number.NaN, 1],
  [0.5, Number.POSITIVE_INFINITY],
  [0.5, Number.NaN],
])('adamw does nothing when the loss is %d and the norm %d', async (loss, norm) => {
  const { before, after } = await run(100, hyper(3, 1), { loss, norm });
  expect(after.map((values) => [...values])).toEqual(before.map((values) => [...values]));
});
