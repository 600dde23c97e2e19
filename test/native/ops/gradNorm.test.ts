import { test } from 'vitest';
import { gradNorm } from '../../../lib/ops/gradNorm.js';
import { checkKernel } from '../../support/checkKernel.js';

for (const n of [1, 7, 65_536, 200_003]) {
  test(`gradNorm [${n}]`, () =>
    checkKernel({ inputs: { g: [n] }, tolerance: 1e-7, half: false, build: ({ g }) => gradNorm(g!) }));
}

test('gradNorm of values whose squares leave float32', () =>
  checkKernel({ inputs: { g: [1000] }, spread: 1e25, tolerance: 1e-7, half: false, build: ({ g }) => gradNorm(g!) }));
