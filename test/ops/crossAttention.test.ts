import { describe, expect, it } from 'vitest';
import { createGraph, elements, input, type Value, within } from '../../lib/graph/graph.js';
import { attention } from '../../lib/ops/attention.js';
import { concat } from '../../lib/ops/concat.js';
import { crossAttention } from '../../lib/ops/crossAttention.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';
import { pseudoRandom } from '../support/pseudoRandom.js';
import { expectSameAttention } from '../support/sameAttention.js';

describe('crossAttention', () => {
  it.each([
    { n: 1, tq: 1, tk: 1, c: 2, heads: 2 },
    { n: 2, tq: 4, tk: 3, c: 6, heads: 2 },
    { n: 1, tq: 3, tk: 5, c: 3, heads: 1 },
  ])('has right gradients: %j', ({ n, tq, tk, c, heads }) => {
    checkGradients({
      inputs: { q: [n, tq, c], kv: [n, tk, 2 * c] },
      build: ({ q, kv }) => crossAttention(q!, kv!, { heads }),
    });
  });

  it('is attention to the halves of the channels, in the order keys, values', () => {
    const random = pseudoRandom(4);
    const graph = createGraph();
    const parts = [input(graph, 'q', [2, 3, 4]), ...['k', 'v'].map((name) => input(graph, name, [2, 5, 4]))];
    const [q, k, v] = parts as [Value, Value, Value];
    const dO = input(graph, 'do', [2, 3, 4]);
    const leaves = new Map(
      [...parts, dO].map((value) => [
        value,
        Float64Array.from({ length: elements(value.shape) }, () => random.normal()),
      ]),
    );
    const packed = crossAttention(q, concat(k, v), { heads: 2 });
    const whole = attention(q, k, v, { heads: 2 });
    expectSameAttention([whole, packed], dO, parts, leaves);
  });

  it('computes only the gradients that are wanted, from what it gave, and counts its products', () => {
    const graph = createGraph();
    const [q, kv] = [input(graph, 'q', [2, 3, 4], 'bf16'), input(graph, 'kv', [2, 5, 8], 'bf16')];
    const o = crossAttention(q, kv, { heads: 2 });
    const dO = input(graph, 'do', o.shape, 'bf16');
    const product = 2 * 2 * 3 * 5 * 4;
    for (const [wanted, shapes, products] of [
      [[q], [[2, 3, 4], null], 3],
      [[kv], [null, [2, 5, 8]], 4],
      [
        [q, kv],
        [
          [2, 3, 4],
          [2, 5, 8],
        ],
        5,
      ],
    ] as const) {
      grad(o, dO, wanted);
      const back = graph.nodes.at(-1)!;
      expect(back.op.name).toBe('crossAttentionVjp');
      expect(back.inputs).toEqual([q, kv, ...graph.nodes[0]!.outputs, dO]);
      expect(back.outputs.map((value) => value?.shape ?? null)).toEqual(shapes);
      expect(back.op.flops!(back)).toBe(products * product);
      expect(back.op.scratchBytes!(back, 1)).toBe(4 * 2 * 2 * 3);
    }
    expect(graph.nodes[0]!.op.flops!(graph.nodes[0]!)).toBe(2 * product);
  });

  it('names what does not fit', () => {
    const graph = createGraph();
    const build =
      (q: readonly number[], kv: readonly number[], heads: number): (() => void) =>
      () =>
        within(graph, 'mid_block', () => {
          crossAttention(input(graph, `q ${q}`, q), input(graph, `kv ${kv}`, kv), { heads });
        });
    expect(build([1, 2, 4], [1, 3, 4], 1)).toThrow(
      '[crossAttention] shape of kv: expected [1,3,8], got [1,3,4] (at mid_block)',
    );
    expect(build([1, 2, 6], [1, 3, 12], 4)).toThrow(
      '[crossAttention] heads: expected a divisor of 6 channels, got 4 (at mid_block)',
    );
    expect(build([2, 6], [1, 3, 12], 2)).toThrow(
      '[crossAttention] dimensions of q: expected 3, got [2,6] (at mid_block)',
    );
  });
});
