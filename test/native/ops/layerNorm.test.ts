import { expect, test } from 'vitest';
import { createGraph, result } from '../../../lib/graph/graph.js';
import { add, addOp } from '../../../lib/ops/add.js';
import { layerNorm } from '../../../lib/ops/layerNorm.js';
import { scale } from '../../../lib/ops/scale.js';
import { grad } from '../../../lib/transform/grad.js';
import { checkKernel } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';
import { randomInputs } from '../../support/randomInputs.js';

for (const shape of [
  [1, 1],
  [3, 7],
  [2, 5, 64],
  [2, 77, 768],
  [3000, 3],
  [1, 9, 1281],
]) {
  const c = shape.at(-1)!;
  test(`layerNorm [${shape}]`, () =>
    checkKernel({
      inputs: { x: shape, w: [c], b: [c] },
      tolerance: 1e-6,
      build: ({ x, w, b }) => layerNorm(x!, w!, b!, { eps: 1e-5 }),
    }));
}

test('layerNorm without weight and bias', () =>
  checkKernel({ inputs: { x: [4, 33] }, tolerance: 1e-6, build: ({ x }) => layerNorm(x!, null, null, { eps: 1e-6 }) }));

test('layerNorm with a weight alone', () =>
  checkKernel({
    inputs: { x: [4, 33], w: [33] },
    tolerance: 1e-6,
    build: ({ x, w }) => layerNorm(x!, w!, null, { eps: 1e-6 }),
  }));

test.each([true, false])('layerNorm over its input, backward %s', (backward) =>
  checkKernel({
    inputs: { x: [5, 21], w: [21], b: [21] },
    backward,
    build: ({ x, w, b }) => scale(layerNorm(scale(x!, 2), w!, b!, { eps: 1e-5 }), 0.5),
  }),
);

for (const shape of [
  [3, 7],
  [2, 9, 64],
  [1, 9, 1288],
  [1, 9, 2568],
]) {
  const c = shape.at(-1)!;
  test(`layerNorm with its gradient added to another [${shape}]`, () =>
    checkKernel({
      inputs: { x: shape, w: [c], b: [c] },
      tolerance: 1e-6,
      build: ({ x, w, b }) => add(x!, scale(layerNorm(x!, w!, b!, { eps: 1e-5 }), 2)),
    }));
}

test('layerNorm added to its own input, without weight and bias', () =>
  checkKernel({
    inputs: { x: [4, 33] },
    tolerance: 1e-6,
    build: ({ x }) => add(x!, layerNorm(x!, null, null, { eps: 1e-6 })),
  }));

/** The gradient of x + 2 layerNorm(x), summed within the gradient's kernel or by an add. */
async function residualGradient(summed: boolean): Promise<Float32Array> {
  const graph = createGraph();
  const { make, leaves } = randomInputs(graph, 3);
  const [x, w, dy] = [make('x', [9, 77]), make('w', [77]), make('dy', [9, 77])];
  const normed = scale(layerNorm(x, w, null, { eps: 1e-5 }), 2);
  const [dx] = grad(summed ? add(x, normed) : normed, dy, [x]);
  result(graph, 'dx', summed ? dx! : add(dy, dx!));
  expect(graph.nodes.filter((node) => node.op === addOp && node.phase === 'backward')).toEqual([]);
  return (await runNative(graph, leaves)).get('dx')!;
}

test('a sum within the gradient of layerNorm has the bits of an add in float32', async () => {
  expect(await residualGradient(true)).toEqual(await residualGradient(false));
});
