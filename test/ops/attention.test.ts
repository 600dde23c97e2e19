import { describe, expect, it } from 'vitest';
import { createGraph, type Graph, input, type Value, within } from '../../lib/graph/graph.js';
import { attention } from '../../lib/ops/attention.js';
import { grad } from '../../lib/transform/grad.js';
import { checkGradients } from '../support/gradientCheck.js';
import { interpret } from '../support/interpreter.js';

function threeInputs(graph: Graph, shape: readonly number[]): [Value, Value, Value] {
  return [input(graph, 'q', shape), input(graph, 'k', shape), input(graph, 'v', shape)];
}

describe('attention', () => {
  it('has right gradients for queries, keys and values', () => {
    checkGradients({
      inputs: { q: [2, 3, 6], k: [2, 5, 6], v: [2, 5, 6] },
      build: ({ q, k, v }) => attention(q!, k!, v!, { heads: 2 }),
    });
  });

  it('has right gradients under a causal mask', () => {
    checkGradients({
      inputs: { q: [1, 4, 4], k: [1, 4, 4], v: [1, 4, 4] },
      build: ({ q, k, v }) => attention(q!, k!, v!, { heads: 1, causal: true }),
    });
  });

  it('has right gradients where one value is queries, keys and values', () => {
    checkGradients({ inputs: { x: [1, 3, 4] }, build: ({ x }) => attention(x!, x!, x!, { heads: 4 }) });
  });

  it('is the value itself where there is one key', () => {
    const graph = createGraph();
    const [q, k, v] = threeInputs(graph, [1, 1, 2]);
    const o = attention(q, k, v, { heads: 2 });
    const values = interpret(
      graph,
      new Map([
        [q, Float64Array.of(3, 4)],
        [k, Float64Array.of(5, 6)],
        [v, Float64Array.of(7, 8)],
      ]),
    );
    expect([...values.get(o)!]).toEqual([7, 8]);
    expect([...values.get(o.node!.outputs[1]!)!]).toEqual([15, 24]);
  });

  it('computes only the wanted gradients', () => {
    const graph = createGraph();
    const [q, k, v] = threeInputs(graph, [1, 2, 2]);
    const o = attention(q, k, v, { heads: 1 });
    grad(o, input(graph, 'do', o.shape), [q]);
    const vjp = graph.nodes.at(-1)!;
    expect(vjp.outputs.map((value) => value?.name ?? null)).toEqual(['dq', null, null]);
    expect(vjp.op.flops!(vjp)).toBe(3 * 2 * 2 * 2 * 2);
  });

  it('names what does not fit', () => {
    const graph = createGraph();
    const q = input(graph, 'q', [1, 4, 6]);
    const k = input(graph, 'k', [1, 3, 6]);
    const v = input(graph, 'v', [1, 2, 6]);
    const build = (body: () => void) => () => within(graph, 'mid_block', body);
    expect(build(() => attention(q, k, v, { heads: 2 }))).toThrow(
      '[attention] shape of v: expected [1,3,6], got [1,2,6] (at mid_block)',
    );
    expect(build(() => attention(q, k, k, { heads: 4 }))).toThrow(
      '[attention] heads: expected a divisor of 6 channels, got 4 (at mid_block)',
    );
    expect(build(() => attention(q, k, k, { heads: 2, causal: true }))).toThrow(
      '[attention] tokens of k under a causal mask: expected 4, got 3 (at mid_block)',
    );
    const wide = input(graph, 'wide', [1, 1, 8194]);
    expect(build(() => attention(wide, wide, wide, { heads: 2 }))).toThrow(
      '[attention] head width: expected at most 4096, got 4097 (at mid_block)',
    );
  });
});
