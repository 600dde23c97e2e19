import { expect, test } from 'vitest';
import { createGraph, elements, input, result, type Value } from '../../../lib/graph/graph.js';
import { add, addOp } from '../../../lib/ops/add.js';
import { groupNorm } from '../../../lib/ops/groupNorm.js';
import { scale } from '../../../lib/ops/scale.js';
import { grad } from '../../../lib/transform/grad.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

const cases: [number[], number][] = [
  [[1, 1, 1, 1], 1], // a group of one value: variance 0
  [[2, 3], 3],
  [[3, 5, 7, 6], 2],
  [[2, 11, 40], 4], // groups of ten: not a number of lanes
  [[1, 33, 9, 320], 32], // several chunks, the last one shorter
  [[2, 8, 8, 64], 32],
  [[1, 3000, 4], 2],
  [[1, 2, 5, 2560], 32],
  [[1, 1700, 40], 1], // on CUDA, several blocks a group, here and in the next
  [[2, 2800, 6], 2],
];

for (const [shape, groups] of cases) {
  for (const silu of [false, true]) {
    test(`groupNorm [${shape}] in ${groups} groups, silu ${silu}`, () => {
      const c = shape.at(-1)!;
      return checkKernel({
        inputs: { x: shape, w: [c], b: [c] },
        tolerance: 1e-6,
        build: ({ x, w, b }) => groupNorm(x!, w!, b!, { groups, eps: 1e-5, silu }),
      });
    });
  }
}

test.each([true, false])('groupNorm over its input, backward %s', (backward) =>
  checkKernel({
    inputs: { x: [2, 5, 12], w: [12], b: [12] },
    backward,
    build: ({ x, w, b }) => scale(groupNorm(scale(x!, 2), w!, b!, { groups: 3, eps: 1e-5, silu: true }), 0.5),
  }),
);

// Its gradient is also that of p, so only x is left to lie under dx.
test('groupNorm with a gradient that is still needed', () =>
  checkKernel({
    inputs: { x: [2, 5, 12], w: [12], b: [12], p: [2, 5, 12] },
    build: ({ x, w, b, p }) => add(groupNorm(scale(x!, 2), w!, b!, { groups: 3, eps: 1e-5, silu: true }), p!),
  }));

for (const [shape, groups] of cases) {
  test(`groupNorm [${shape}] in ${groups} groups with its gradient added to another`, () => {
    const c = shape.at(-1)!;
    return checkKernel({
      inputs: { x: shape, w: [c], b: [c] },
      tolerance: 1e-6,
      build: ({ x, w, b }) => add(x!, scale(groupNorm(x!, w!, b!, { groups, eps: 1e-5, silu: true }), 2)),
    });
  });
}

// The gradient that it adds is also its own, so that dx lies elsewhere.
test('groupNorm added to its own input', () =>
  checkKernel({
    inputs: { x: [2, 5, 12], w: [12], b: [12] },
    build: ({ x, w, b }) => add(x!, groupNorm(x!, w!, b!, { groups: 3, eps: 1e-5, silu: true })),
  }));

/** The gradient of x + 2 groupNorm(x), summed within the gradient's kernel or by an add. */
async function residualGradient(summed: boolean, silu: boolean): Promise<Float32Array> {
  const random = pseudoRandom(3);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const make = (name: string, shape: number[]): Value => {
    const value = input(graph, name, shape);
    leaves.set(
      value,
      Float64Array.from({ length: elements(shape) }, () => Math.fround(random.normal())),
    );
    return value;
  };
  const [x, w, b, dy] = [make('x', [2, 9, 42]), make('w', [42]), make('b', [42]), make('dy', [2, 9, 42])];
  const normed = scale(groupNorm(x, w, b, { groups: 3, eps: 1e-5, silu }), 2);
  const [dx] = grad(summed ? add(x, normed) : normed, dy, [x]);
  result(graph, 'dx', summed ? dx! : add(dy, dx!));
  expect(graph.nodes.filter((node) => node.op === addOp && node.phase === 'backward')).toEqual([]);
  return (await runNative(graph, leaves)).get('dx')!;
}

test.each([false, true])(
  'a sum within the gradient of groupNorm has the bits of an add in float32, silu %s',
  async (silu) => {
    expect(await residualGradient(true, silu)).toEqual(await residualGradient(false, silu));
  },
);

/** y and all gradients. */
async function run(threads: number, shape: number[]): Promise<Map<string, Float32Array>> {
  const random = pseudoRandom(3);
  const graph = createGraph();
  const leaves = new Map<Value, Float64Array>();
  const leaf = (name: string, size: readonly number[]): Value => {
    const value = input(graph, name, size);
    leaves.set(
      value,
      Float64Array.from({ length: elements(size) }, () => random.normal()),
    );
    return value;
  };
  const c = shape.at(-1)!;
  const [x, w, b] = [leaf('x', shape), leaf('w', [c]), leaf('b', [c])];
  const y = groupNorm(x, w, b, { groups: 4, eps: 1e-5, silu: true });
  result(graph, 'y', y);
  grad(y, leaf('dy', shape), [x, w, b]).forEach((gradient, i) => {
    result(graph, `gradient ${i}`, gradient!);
  });
  return runNative(graph, leaves, { threads });
}

test('groupNorm gives the same bits for any number of threads', async () => {
  const [one, three] = [await run(1, [2, 700, 32]), await run(3, [2, 700, 32])];
  expect(three).toEqual(one);
});

test('groupNorm keeps its digits when the mean is far from 0', () => {
  const random = pseudoRandom(5);
  const values = Array.from({ length: 4000 * 8 }, () => random.normal() + 1000);
  // The float32 mean of values near 1000 is known to 6e-8 · 1000 of their spread.
  return checkKernel({
    inputs: { w: [8], b: [8] },
    fixed: { x: { shape: [1, 4000, 8], values } },
    tolerance: 6e-5,
    build: ({ x, w, b }) => groupNorm(x!, w!, b!, { groups: 2, eps: 1e-5 }),
  });
});
