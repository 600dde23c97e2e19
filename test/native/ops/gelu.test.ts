import { describe, test } from 'vitest';
import { gelu } from '../../../lib/ops/gelu.js';
import { scale } from '../../../lib/ops/scale.js';
import { checkKernel } from '../../support/checkKernel.js';

// About eight roundings of 6e-8 lie between x and a slope, and a slope is a sum of terms that cancel: up to 5e-7.
const tolerance = 5e-7;

describe.each(['erf', 'quick', 'tanh'] as const)('gelu, %s', (kind) => {
  test.each([[1], [7], [3, 5, 2], [40_000]])('[%i, ...]', (...shape) =>
    checkKernel({ inputs: { x: shape }, spread: 3, tolerance, build: ({ x }) => gelu(x!, kind) }),
  );

  test('far from 0', () =>
    checkKernel({ inputs: { x: [1000] }, spread: 50, tolerance, build: ({ x }) => gelu(x!, kind) }));

  test.each([true, false])('over its input, backward %s', (backward) =>
    checkKernel({ inputs: { x: [33] }, backward, build: ({ x }) => scale(gelu(scale(x!, 2), kind), 0.5) }),
  );
});
