import { test } from 'vitest';
import { add } from '../../lib/ops/add.js';
import { checkKernel } from '../support/checkKernel.js';

for (const shape of [[1], [7], [3, 5, 2], [40_000]]) {
  test(`add [${shape}]`, () => checkKernel({ inputs: { a: shape, b: shape }, build: ({ a, b }) => add(a!, b!) }));
}
