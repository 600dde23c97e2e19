import { describe, expect, it } from 'vitest';
import { createGraph, input, type Value, within } from '../../lib/graph/graph.js';
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
    const [first, second] = lowRankFactors(
      layers.map((layer) => [layer]),
      activeRank,
      { dtype: 'bf16' },
    );
    const all = interpret(graph, leaves);
    expect([...all.get(first!.a)!]).toEqual([row8(14), row8(11), row8(14, 8), row8(11, 2)].flat());
    expect([...all.get(first!.b)!]).toEqual([row8(4, 5), row8(1, 1)].flat());
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
    const [stacked] = lowRankFactors([[{ up, down, lambda }]], activeRank, { dtype: 'f32' });
    const { vjp } = stacked!.a.node!.op;
    const [dA, dB] = [input(graph, 'dA', [2, 8, 1]), input(graph, 'dB', [1, 2])];
    const needs = [false, true, true, true, false, false, false];
    const [none, dUp, dDown, dLambda] = vjp!(stacked!.a.node!, [dA, dB], needs, []);
    expect([none, dUp]).toEqual([null, dB]);
    const leaves = new Map([
      [up, Float64Array.of(1, 1)],
      [down, Float64Array.of(3, 4)],
      [lambda, Float64Array.of(5, 6)],
      [activeRank, Float64Array.of(1, 2)],
      [dA, Float64Array.of(...row8(1, 100), ...row8(10, 20))],
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
    const groups = layers.map((layer) => [layer]);
    const stacked = lowRankFactors(groups, input(graph, 'activeRank', [1], 'i32'), { dtype: 'f32' });
    expect(graph.nodes).toHaveLength(1);
    expect(stacked[2]!.b.shape).toEqual([3, 8]);
    const found = stacked[0]!.a.node!.op.vjp!(
      graph.nodes[0]!,
      stacked.flatMap((_, i) => (i === 1 ? [null, null] : [input(graph, `g ${i}`, [1, 8, 4]), null])),
      graph.nodes[0]!.inputs.map((value) => value !== null),
      [],
    );
    expect(graph.nodes.map(({ op }) => op.name)).toEqual(['lowRankFactors', 'lowRankFactorsVjp']);
    const none: null[] = Array(6).fill(null);
    const both = [null, 'dDown', 'dLambda', null, null, null];
    expect(found.map((value) => value?.name ?? null)).toEqual([null, ...both, ...none, ...both]);
  });

  it('stacks the layers of a group, and gives each its part of their gradients', () => {
    const graph = createGraph();
    const activeRank = input(graph, 'activeRank', [1], 'i32');
    const leaves = new Map<Value, Float64Array>([[activeRank, Float64Array.of(1)]]);
    const given = (name: string, shape: number[], ...values: number[]): Value => {
      const value = input(graph, name, shape);
      leaves.set(value, Float64Array.from(values));
      return value;
    };
    const layer = (i: number) => ({
      up: given(`up ${i}`, [2, 1], i, 10 * i),
      down: given(`down ${i}`, [1, 2], 3 * i, 5 * i),
      lambda: given(`lambda ${i}`, [1], 2),
      up0: given(`up0 ${i}`, [2, 1], 1, 1),
      down0: given(`down0 ${i}`, [1, 2], 1, 1),
      lambda0: given(`lambda0 ${i}`, [1], 1),
    });
    const [alone, one, two] = [layer(1), layer(2), layer(3)];
    const [first, group] = lowRankFactors([[alone], [one, two]], activeRank, { dtype: 'f32' });
    expect([first!.layers, group!.layers]).toEqual([1, 2]);
    expect(graph.nodes[0]!.outputs.map((value) => value?.shape ?? null)).toEqual([
      [1, 16, 2],
      [2, 16],
      [1, 32, 2],
      [4, 16],
      null,
      null,
    ]);
    const all = interpret(graph, leaves);
    const a = [...all.get(group!.a)!];
    const rows = [0, 8, 16, 24].map((row) => a.slice(2 * row, 2 * row + 2));
    expect(rows).toEqual([
      [12, 20],
      [11, 19],
      [18, 30],
      [17, 29],
    ]);
    expect([...all.get(group!.b)!]).toEqual(
      [
        [1, 1],
        [19, 1],
        [2, 1],
        [29, 1],
      ]
        .flatMap(([p, q]) => [row8(p!), row8(q!)])
        .flat(),
    );

    const dA = given('dA', [1, 32, 2], ...Array.from({ length: 64 }, (_, i) => i));
    const dB = given('dB', [4, 1], 1, 2, 3, 4);
    const needs = graph.nodes[0]!.inputs.map((_, i) => i > 0 && (i - 1) % 6 < 3);
    const found = graph.nodes[0]!.op.vjp!(graph.nodes[0]!, [null, null, dA, dB, null, null], needs, []);
    const back = interpret(graph, leaves);
    const of = (input: Value): number[] => [...back.get(found[graph.nodes[0]!.inputs.indexOf(input)]!)!];
    expect(found[graph.nodes[0]!.inputs.indexOf(alone.up)]).toBeNull();
    expect([of(one.up), of(two.up)]).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect([of(one.down), of(two.down)]).toEqual([
      [2 * (0 + 16), 2 * (1 + 17)],
      [2 * (32 + 48), 2 * (33 + 49)],
    ]);
    expect([of(one.lambda), of(two.lambda)]).toEqual([[6 * 16 + 10 * 18], [9 * 80 + 15 * 82]]);
  });

  it('gives nothing where no gradient reaches a layer', () => {
    const graph = createGraph();
    const up = input(graph, 'up', [3, 2]);
    lowRankFactors([[{ up, down: input(graph, 'down', [2, 4]) }]], input(graph, 'activeRank', [1], 'i32'), {
      dtype: 'f32',
    });
    const loss = input(graph, 'loss', [1]);
    expect(grad(loss, input(graph, 'seed', [1]), [up])).toEqual([null]);
  });

  it('names what does not fit', () => {
    const graph = createGraph();
    const [up, down] = [input(graph, 'up', [5, 2]), input(graph, 'down', [3, 4])];
    const ranks = input(graph, 'ranks', [1], 'i32');
    type Factors = { up: Value; down: Value; up0?: Value };
    const form =
      (factors: Factors, active: Value, more: Factors[] = []) =>
      () =>
        within(graph, 'mid_block', () => lowRankFactors([[factors, ...more]], active, { dtype: 'f32' }));
    expect(form({ up, down }, ranks)).toThrow('[lowRankFactors] rows of down: expected 2, got 3 (at mid_block)');
    expect(form({ up, down: input(graph, 'q', [2, 4]), up0: up }, ranks)).toThrow(
      '[lowRankFactors] frozen start: expected lambda, up0, down0, lambda0 together, got up0 (at mid_block)',
    );
    expect(form({ up, down }, up)).toThrow('[lowRankFactors] type of activeRank: expected i32, got f32 (at mid_block)');
    const [narrow, wide] = [input(graph, 'narrow', [2, 4]), input(graph, 'wide', [2, 6])];
    expect(form({ up, down: narrow }, ranks, [{ up, down: wide }])).toThrow(
      '[lowRankFactors] shape of down in a group: expected [2,4], got [2,6] (at mid_block)',
    );
  });
});
