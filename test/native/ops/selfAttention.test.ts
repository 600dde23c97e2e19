import { afterEach, describe, expect, it } from 'vitest';
import { createGraph, type DType, input, result, type Value } from '../../../lib/graph/graph.js';
import { attention } from '../../../lib/ops/attention.js';
import { selfAttention } from '../../../lib/ops/selfAttention.js';
import { grad } from '../../../lib/transform/grad.js';
import { checkKernel } from '../../support/checkKernel.js';
import { onCuda, runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

interface Sizes {
  n: number;
  t: number;
  heads: number;
  d: number;
}

const cases: Sizes[] = [
  { n: 1, t: 1, heads: 1, d: 1 },
  { n: 2, t: 5, heads: 3, d: 7 }, // k and v begin on no 16 bytes
  { n: 2, t: 33, heads: 2, d: 40 },
  { n: 1, t: 70, heads: 1, d: 64 },
  { n: 1, t: 35, heads: 1, d: 160 },
  { n: 1, t: 20, heads: 1, d: 260 },
];

/** On tensor cores in half precision. */
const own: Sizes[] = [
  { n: 2, t: 66, heads: 2, d: 24 },
  { n: 1, t: 70, heads: 1, d: 64 },
  { n: 1, t: 40, heads: 2, d: 80 },
];

/**
 * Results of selfAttention, and of attention of the same queries, keys and values in tensors of their own, each as the values of o, lse,
 * dq, dk and dv.
 */
async function both({ n, t, heads, d }: Sizes, dtype: DType): Promise<{ packed: number[][]; apart: number[][] }> {
  const random = pseudoRandom(11);
  const graph = createGraph();
  const c = heads * d;
  const leaves = new Map<Value, Float64Array>();
  const make = (name: string, channels: number, at: (row: number, channel: number) => number): Value => {
    const value = input(graph, name, [n, t, channels], dtype);
    leaves.set(
      value,
      Float64Array.from({ length: n * t * channels }, (_, i) => at(Math.floor(i / channels), i % channels)),
    );
    return value;
  };
  const qkv = make('qkv', 3 * c, () => random.normal());
  const data = leaves.get(qkv)!;
  const third = (part: number) => (row: number, channel: number) => data[row * 3 * c + part * c + channel]!;
  const parts = ['q', 'k', 'v'].map((name, i) => make(name, c, third(i))) as [Value, Value, Value];
  const dO = make('do', c, () => random.normal());
  const [o, whole] = [selfAttention(qkv, { heads }), attention(...parts, { heads })];
  const named = {
    packed: [...o.node!.outputs, ...grad(o, dO, [qkv])],
    apart: [...whole.node!.outputs, ...grad(whole, dO, parts)],
  };
  for (const [form, values] of Object.entries(named))
    for (const [i, value] of values.entries()) result(graph, `${form} ${i}`, value!);
  const results = await runNative(graph, leaves);
  const list = (form: string, count: number): number[][] =>
    Array.from({ length: count }, (_, i) => [...results.get(`${form} ${i}`)!]);
  const [packedO, lse, dqkv] = list('packed', 3);
  const gradients = [0, 1, 2].map((part) => dqkv!.filter((_, i) => Math.floor(i / c) % 3 === part));
  return { packed: [packedO!, lse!, ...gradients], apart: list('apart', 5) };
}

describe.runIf(onCuda)('selfAttention', () => {
  afterEach(() => {
    delete process.env.TLORA_ATTENTION;
  });

  for (const sizes of cases) {
    it(`agrees with its meaning for ${JSON.stringify(sizes)}`, () =>
      checkKernel({
        inputs: { qkv: [sizes.n, sizes.t, 3 * sizes.heads * sizes.d] },
        build: ({ qkv }) => selfAttention(qkv!, sizes).node!.outputs as readonly Value[],
      }));
  }

  for (const sizes of own) {
    it(`agrees with its meaning for ${JSON.stringify(sizes)} without libraries`, () => {
      process.env.TLORA_ATTENTION = 'own';
      return checkKernel({
        inputs: { qkv: [sizes.n, sizes.t, 3 * sizes.heads * sizes.d] },
        build: ({ qkv }) => selfAttention(qkv!, sizes).node!.outputs as readonly Value[],
      });
    });
  }

  it.each<[DType, string, Sizes]>([
    ['f32', 'own', { n: 2, t: 65, heads: 2, d: 12 }],
    ['f32', 'any', { n: 1, t: 10, heads: 1, d: 70 }],
    ['bf16', 'own', { n: 2, t: 65, heads: 2, d: 40 }],
    ['bf16', 'any', { n: 2, t: 34, heads: 3, d: 16 }],
    ['f16', 'own', { n: 2, t: 20, heads: 1, d: 80 }],
    ['f16', 'any', { n: 1, t: 20, heads: 2, d: 64 }],
    ['f16', 'any', { n: 2, t: 9, heads: 3, d: 5 }],
  ])('gives the bits that attention gives: %s, %s implementation, %j', async (dtype, implementation, sizes) => {
    if (implementation === 'own') process.env.TLORA_ATTENTION = 'own';
    const { packed, apart } = await both(sizes, dtype);
    expect(apart.every((values) => values.some((value) => value !== 0))).toBe(true);
    expect(packed).toEqual(apart);
  });
});
