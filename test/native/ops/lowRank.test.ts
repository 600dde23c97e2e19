import { describe } from 'vitest';
import { lowRank } from '../../../lib/ops/lowRank.js';
import { testLowRank } from '../../support/lowRankKernel.js';
import { onCuda } from '../../support/nativeRun.js';

describe.runIf(!onCuda)('lowRank', () => {
  testLowRank((base, x, factors, activeRank, scale) => lowRank(base, x, factors, activeRank, { scale }));
});
