import { describe, expect, it } from 'vitest';
import { createGraph, type Graph, input, result } from '../../lib/graph/graph.js';
import { attention, attentionOp } from '../../lib/ops/attention.js';
import { crossAttention, crossAttentionOp } from '../../lib/ops/crossAttention.js';
import { attentionMemory, attentionShare } from '../../lib/train/attentionMemory.js';

interface Shape {
  tq: number;
  tk?: number;
  heads: number;
  width?: number;
  n?: number;
  dtype?: 'bf16' | 'f32';
  causal?: boolean;
  /** Whether the gradient is wanted. */
  back?: boolean;
}

function graphOf(...shapes: Shape[]): Graph {
  const graph = createGraph();
  shapes.forEach(({ tq, tk = tq, heads, width = 64, n = 1, dtype = 'bf16', causal = false, back = true }, i) => {
    const of = (name: string, t: number) => input(graph, `${name}${i}`, [n, t, heads * width], dtype);
    const o = attention(of('q', tq), of('k', tk), of('v', tk), { heads, causal });
    result(graph, `o${i}`, o);
    if (!back) return;
    const node = graph.nodes.at(-1)!;
    const [dq] = attentionOp.vjp!(node, [of('dO', tq)], [true, true, true], [1, 1, 1]);
    result(graph, `dq${i}`, dq!);
  });
  return graph;
}

describe('the memory that the gradients of attention are worth', () => {
  it('is dS of one sample, in 16 bits', () => {
    const dS = 10 * 4096 * 4096 * 2 + 4096;
    expect(attentionMemory(graphOf({ tq: 4096, heads: 10 }))).toBe(dS);
    expect(attentionMemory(graphOf({ tq: 4096, heads: 10, n: 4 }, { tq: 1024, heads: 20 }))).toBe(dS);
    expect(attentionMemory(graphOf({ tq: 4000, heads: 10 }))).toBe(dS);
  });

  it('counts keys and values in one tensor', () => {
    const graph = createGraph();
    const q = input(graph, 'q', [1, 4096, 640], 'bf16');
    const o = crossAttention(q, input(graph, 'kv', [1, 2048, 1280], 'bf16'), { heads: 10 });
    const dO = input(graph, 'dO', [1, 4096, 640], 'bf16');
    result(graph, 'dq', crossAttentionOp.vjp!(o.node!, [dO], [true, true], [1, 1])[0]!);
    expect(attentionMemory(graph)).toBe(10 * 4096 * 2048 * 2 + 4096);
  });

  it('is that of fewer heads where all take too much', () => {
    expect(attentionMemory(graphOf({ tq: 9216, heads: 10 }))).toBe(2 * 9216 ** 2 * 2 + 4096);
    expect(attentionMemory(graphOf({ tq: 32768, heads: 10 }))).toBe(0);
  });

  it.each<[string, Shape]>([
    ['has room in the workspace', { tq: 1024, heads: 20 }],
    ['has room in the workspace, with few keys', { tq: 4096, tk: 77, heads: 10 }],
    ['is of float32', { tq: 4096, heads: 10, dtype: 'f32' }],
    ['is masked', { tq: 4096, heads: 10, causal: true }],
    ['has wide heads', { tq: 4096, heads: 4, width: 160 }],
    ['has no gradient', { tq: 4096, heads: 10, back: false }],
  ])('is none where it %s', (_, shape) => {
    expect(attentionMemory(graphOf(shape))).toBe(0);
  });
});

it('is taken whole or not at all, from what the run leaves', () => {
  const needed = 100;
  expect(attentionShare(10, { needed, free: 110, memory: undefined })).toBe(10);
  expect(attentionShare(10, { needed, free: 109, memory: undefined })).toBe(0);
  expect(attentionShare(10, { needed, free: 999, memory: 110 })).toBe(10);
  expect(attentionShare(10, { needed, free: 999, memory: 109 })).toBe(0);
});
