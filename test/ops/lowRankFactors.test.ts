import { describe, expect, it } from 'vitest';
import { createGraph, elements, input, type Value, within } from '../../lib/graph/graph.js';
import { lowRankFactors } from '../../lib/ops/lowRankFactors.js';
import { grad } from '../../lib/transform/grad.js';
import { interpret } from '../support/interpreter.js';

const row8 = (...values: number[]): number[] => [...values, ...new Array<number>(8 - values.length).fill(0)];

describe('lowRankFactors', () => {
  it('stacks trained factors and their change, in rows of eight components, masked by sample', () => {
    const graph = createGraph();
    const leaves = new Map<Value, Float64Array>();
    const given = (name: string, shape: number[], ...values: number[]): Value => {
      const value = input(graph, name, shape);
      leaves.set(value, Float64Array.from(values));
      return value;
    };
    const activeRank = input(graph, 'activeRank', [2], 'i32');
    leaves.set(activeRank, Float64Array.of(1, 2));
    const start = {
      up0: given('up0', [1, 2], 1, 1),
      down0: given('down0', [2, 1], 1, 2),
      lambda0: given('l0', [2], 3, 3),
    };
    const layers = [
      {
        up: given('up', [1, 2], 5, 6),
        down: given('down', [2, 1], 7, 8),
        lambda: given('lambda', [2], 2, 1),
        ...start,
      },
      { up: given('plain up', [2, 1], 3, 4), down: given('plain down', [1, 2], 9, 10) },
    ];
    const [first, second] = lowRankFactors(layers, activeRank, { dtype: 'bf16' });
    const all = interpret(graph, leaves);
    expect([...all.get(first!.a)!]).toEqual([row8(14), row8(11), row8(14, 8), row8(11, 2)].flat());
    expect([...all.get(first!.b)!]).toEqual([row8(4, 5), row8(1, 1), row8(5, 6)].flat());
    expect(second!.a.shape).toEqual([2, 8, 2]);
    expect([...all.get(second!.a)!].filter((value) => value !== 0)).toEqual([9, 10, 9, 10]);
    expect([...all.get(second!.b)!]).toEqual([row8(3), row8(4)].flat());
    expect([first!.a, first!.b, second!.a, second!.b].map(({ dtype }) => dtype)).toEqual(Array(4).fill('bf16'));
    expect([first!.rank, second!.rank]).toEqual([2, 1]);
  });

  it('passes the gradient of P on, and that of ΛQ to Q and Λ, of the components that a sample has', () => {
    const graph = createGraph();
    const [up, down] = [input(graph, 'up', [1, 2]), input(graph, 'down', [2, 1])];
    const lambda = input(graph, 'lambda', [2]);
    const activeRank = input(graph, 'activeRank', [2], 'i32');
    const [stacked] = lowRankFactors([{ up, down, lambda }], activeRank, { dtype: 'f32' });
    const { vjp } = stacked!.a.node!.op;
    const [dA, dB] = [input(graph, 'dA', [2, 2, 1]), input(graph, 'dB', [1, 2])];
    const needs = [false, true, true, true, false, false, false];
    const [none, dUp, dDown, dLambda] = vjp!(stacked!.a.node!, [dA, dB], needs, []);
    expect([none, dUp]).toEqual([null, dB]);
    const leaves = new Map([
      [up, Float64Array.of(1, 1)],
      [down, Float64Array.of(3, 4)],
      [lambda, Float64Array.of(5, 6)],
      [activeRank, Float64Array.of(1, 2)],
      [dA, Float64Array.of(1, 100, 10, 20)],
      [dB, Float64Array.of(7, 8)],
    ]);
    const all = interpret(graph, leaves);
    expect([...all.get(dDown!)!]).toEqual([55, 120]);
    expect([...all.get(dLambda!)!]).toEqual([33, 80]);
  });

  it('finishes the gradients of all layers in one node', () => {
    const graph = createGraph();
    const layers = [0, 1, 2].map((i) => ({
      up: input(graph, `up ${i}`, [3, 2]),
      down: input(graph, `down ${i}`, [2, 4]),
      lambda: input(graph, `lambda ${i}`, [2]),
    }));
    const stacked = lowRankFactors(layers, input(graph, 'activeRank', [1], 'i32'), { dtype: 'f32' });
    expect(graph.nodes).toHaveLength(1);
    expect(elements(stacked[2]!.b.shape)).toBe(24);
    const found = stacked[0]!.a.node!.op.vjp!(
      graph.nodes[0]!,
      stacked.flatMap((_, i) => (i === 1 ? [null, null] : [input(graph, `g ${i}`, [1, 2, 4]), null])),
      graph.nodes[0]!.inputs.map((value) => value !== null),
      [],
    );
    expect(graph.nodes.map(({ op }) => op.name)).toEqual(['lowRankFactors', 'lowRankFactorsVjp']);
    const none: null[] = Array(6).fill(null);
    const both = [null, 'dDown', 'dLambda', null, null, null];
    expect(found.map((value) => value?.name ?? null)).toEqual([null, ...both, ...none, ...both]);
  });

  it('gives nothing where no gradient reaches a layer', () => {
    const graph = createGraph();
    const up = input(graph, 'up', [3, 2]);
    lowRankFactors([{ up, down: input(graph, 'down', [2, 4]) }], input(graph, 'activeRank', [1], 'i32'), {
      dtype: 'f32',
    });
    const loss = input(graph, 'loss', [1]);
    expect(grad(loss, input(graph, 'seed', [1]), [up])).toEqual([null]);
  });

  it('names what does not fit', () => {
    const graph = createGraph();
    const [up, down] = [input(graph, 'up', [5, 2]), input(graph, 'down', [3, 4])];
    const ranks = input(graph, 'ranks', [1], 'i32');
    const form = (factors: { up: Value; down: Value; up0?: Value }, active: Value) => () =>
      within(graph, 'mid_block', () => lowRankFactors([factors], active, { dtype: 'f32' }));
    expect(form({ up, down }, ranks)).toThrow('[lowRankFactors] rows of down: expected 2, got 3 (at mid_block)');
    expect(form({ up, down: input(graph, 'q', [2, 4]), up0: up }, ranks)).toThrow(
      '[lowRankFactors] frozen start: expected lambda, up0, down0, lambda0 together, got up0 (at mid_block)',
    );
    expect(form({ up, down }, up)).toThrow('[lowRankFactors] type of activeRank: expected i32, got f32 (at mid_block)');
  });
});
