import { afterEach, describe, it } from 'vitest';
import type { Value } from '../../../lib/graph/graph.js';
import { crossAttention } from '../../../lib/ops/crossAttention.js';
import { checkKernel } from '../../support/checkKernel.js';
import { onCuda } from '../../support/nativeRun.js';

interface Sizes {
  n: number;
  tq: number;
  tk: number;
  heads: number;
  d: number;
}

const inputsOf = ({ n, tq, tk, heads, d }: Sizes): Record<string, number[]> => ({
  q: [n, tq, heads * d],
  kv: [n, tk, 2 * heads * d],
});

const build =
  (sizes: Sizes) =>
  ({ q, kv }: Record<string, Value>) =>
    crossAttention(q!, kv!, sizes).node!.outputs as readonly Value[];

describe.runIf(onCuda)('crossAttention', () => {
  afterEach(() => {
    delete process.env.TLORA_ATTENTION;
  });

  for (const sizes of [
    { n: 1, tq: 1, tk: 1, heads: 1, d: 1 },
    { n: 2, tq: 5, tk: 3, heads: 3, d: 7 }, // v begins on no 16 bytes
    { n: 2, tq: 33, tk: 19, heads: 2, d: 40 },
    { n: 1, tq: 20, tk: 77, heads: 1, d: 64 },
    { n: 1, tq: 35, tk: 12, heads: 1, d: 160 },
  ]) {
    it(`agrees with its meaning for ${JSON.stringify(sizes)}`, () =>
      checkKernel({ inputs: inputsOf(sizes), build: build(sizes) }));
  }

  for (const sizes of [
    { n: 2, tq: 66, tk: 31, heads: 2, d: 24 },
    { n: 1, tq: 20, tk: 77, heads: 1, d: 64 },
    { n: 1, tq: 40, tk: 70, heads: 2, d: 80 },
  ]) {
    it(`agrees with its meaning for ${JSON.stringify(sizes)} without libraries`, () => {
      process.env.TLORA_ATTENTION = 'own';
      return checkKernel({ inputs: inputsOf(sizes), build: build(sizes) });
    });
  }
});
