import { test } from 'vitest';
import { timestepFeatures } from '../../../lib/ops/timestepFeatures.js';
import { checkKernel } from '../../support/checkKernel.js';

test.each(['f32', 'i32'] as const)('timestepFeatures of %s timesteps', (dtype) =>
  checkKernel({
    inputs: {},
    fixed: { t: { shape: [4], values: [0, 1, 500, 999], dtype } },
    tolerance: 1e-7,
    build: ({ t }) => timestepFeatures(t!, { dim: 320 }),
  }),
);

test('timestepFeatures between steps, sines first, an odd dim', () =>
  checkKernel({
    inputs: {},
    fixed: { t: { shape: [2], values: [3.25, 801.5] } },
    tolerance: 1e-7,
    build: ({ t }) => timestepFeatures(t!, { dim: 33, flipSinToCos: false, freqShift: 1 }),
  }));
