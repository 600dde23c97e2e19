import { test } from 'vitest';
import { layerNorm } from '../../../lib/ops/layerNorm.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

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
