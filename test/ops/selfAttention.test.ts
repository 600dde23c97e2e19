import { describe, expect, it } from 'vitest';
import { createGraph, elements, input, type Value, within } from '../../lib/graph/graph.js';
import { attention } from '../../lib/ops/attention.js';
import { concat } from '../../lib/ops/concat.js';
import { selfAttention } from '../../lib/ops/selfAttention.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';
import { pseudoRandom } from '../support/pseudoRandom.js';
import { expectSameAttention } from '../support/sameAttention.js';

describe('selfAttention', () => {
  it.each([
    { n: 1, t: 1, c: 2, heads: 2 },
    { n: 2, t: 4, c: 6, heads: 2 },
    { n: 1, t: 5, c: 3, heads: 1 },
  ])('has right gradients: %j', ({ n, t, c, heads }) => {
    checkGradients({ inputs: { qkv: [n, t, 3 * c] }, build: ({ qkv }) => selfAttention(qkv!, { heads }) });
  });

  it('is attention of the thirds of the channels, in the order queries, keys, values', () => {
    const random = pseudoRandom(4);
    const graph = createGraph();
    const parts = ['q', 'k', 'v'].map((name) => input(graph, name, [2, 3, 4])) as [Value, Value, Value];
    const dO = input(graph, 'do', [2, 3, 4]);
    const leaves = new Map(
      [...parts, dO].map((value) => [value, Float64Array.from({ length: 24 }, () => random.normal())]),
    );
    const [q, k, v] = parts;
    const packed = selfAttention(concat(concat(q, k), v), { heads: 2 });
    const whole = attention(q, k, v, { heads: 2 });
    expectSameAttention([whole, packed], dO, parts, leaves);
  });

  it('reads what it gave in its gradient, which is one tensor; both count their products', () => {
    const graph = createGraph();
    const qkv = input(graph, 'qkv', [2, 3, 12], 'bf16');
    const o = selfAttention(qkv, { heads: 2 });
    const dO = input(graph, 'do', o.shape, 'bf16');
    const [dqkv] = grad(o, dO, [qkv]);
    const [forward, backward] = graph.nodes;
    expect(forward!.outputs.map((value) => [value!.name, [...value!.shape], value!.dtype])).toEqual([
      ['o', [2, 3, 4], 'bf16'],
      ['lse', [2, 2, 3], 'f32'],
    ]);
    expect(backward!.op.name).toBe('selfAttentionVjp');
    expect(backward!.inputs).toEqual([qkv, ...forward!.outputs, dO]);
    expect(backward!.outputs).toEqual([dqkv]);
    expect([dqkv!.shape, dqkv!.dtype]).toEqual([qkv.shape, 'bf16']);
    const product = 2 * 2 * 3 * 3 * 4;
    expect([forward, backward].map((node) => node!.op.flops!(node!))).toEqual([2 * product, 5 * product]);
    expect(backward!.op.scratchBytes!(backward!, 1)).toBe(4 * elements([2, 2, 3]));
  });

  it('names what does not fit', () => {
    const graph = createGraph();
    const build =
      (shape: readonly number[], heads: number): (() => void) =>
      () =>
        within(graph, 'mid_block', () => {
          selfAttention(input(graph, `${shape}`, shape), { heads });
        });
    expect(build([1, 2, 8], 1)).toThrow(
      '[selfAttention] channels of qkv: expected a multiple of 3, got 8 (at mid_block)',
    );
    expect(build([1, 2, 18], 4)).toThrow(
      '[selfAttention] heads: expected a divisor of 6 channels, got 4 (at mid_block)',
    );
    expect(build([4, 18], 2)).toThrow('[selfAttention] dimensions of qkv: expected 3, got [4,18] (at mid_block)');
  });
});
