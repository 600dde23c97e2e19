import { describe, expect, it } from 'vitest';
import { adapterLayout, frameSlices } from '../../lib/adapters/adapterLayout.js';
import {
  type AttachOptions,
  attachAdapters,
  type BranchForm,
  retractFeed,
  trainedElements,
} from '../../lib/adapters/attachAdapters.js';
import { createGraph, elements, input, type Value, weight } from '../../lib/graph/graph.js';
import { linear } from '../../lib/ops/linear.js';
import { interpret } from '../support/interpreter.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const LAYERS = [
  { path: 'a.to_q', in: 5, out: 6, rank: 3 },
  { path: 'a.to_k', in: 4, out: 6, rank: 2 },
];

describe('adapterLayout', () => {
  it('places up, down and lambda of each layer on 64-byte lines', () => {
    const layout = adapterLayout(LAYERS, true);
    expect([...layout.flat.entries].map(([name, { offset, shape }]) => [name, offset, shape])).toEqual([
      ['a.to_q.lora_up.weight', 0, [6, 3]],
      ['a.to_q.lora_down.weight', 32, [3, 5]],
      ['a.to_q.lora_lambda.weight', 48, [3]],
      ['a.to_k.lora_up.weight', 64, [6, 2]],
      ['a.to_k.lora_down.weight', 80, [2, 4]],
      ['a.to_k.lora_lambda.weight', 96, [2]],
    ]);
    expect(layout.flat.total).toBe(112);
    expect(trainedElements(layout)).toBe(18 + 15 + 3 + 12 + 8 + 2);
    expect([...adapterLayout(LAYERS, false).flat.entries.keys()]).not.toContain('a.to_q.lora_lambda.weight');
  });

  it('lists the frames that retract keeps', () => {
    expect(frameSlices(adapterLayout(LAYERS, true)).slice(0, 2)).toEqual([
      { offset: 0, length: 6, count: 3, transposed: false },
      { offset: 32, length: 5, count: 3, transposed: true },
    ]);
  });
});

/** Two linear outputs with adapters, in float64. `same`: the trained values are the start. */
function run({
  same,
  strength = 1,
  ranks = [3, 1],
  ...form
}: { same: boolean; strength?: number; ranks?: number[] } & BranchForm): { y: number[]; base: number[] } {
  const random = pseudoRandom(7);
  const graph = createGraph();
  const { hook, leaves } = attachAdapters(graph, adapterLayout(LAYERS, true), { strength, ...form });
  const [x, base] = [input(graph, 'x', [2, 3, 5]), input(graph, 'base', [2, 3, 6])];
  const y = hook('a.to_q', x, base);
  expect(leaves().map((leaf) => leaf.name)).toEqual([
    'a.to_q.lora_up.weight',
    'a.to_q.lora_down.weight',
    'a.to_q.lora_lambda.weight',
  ]);
  const values = new Map<Value, Float64Array>();
  for (const leaf of graph.leaves.values()) {
    values.set(
      leaf,
      Float64Array.from({ length: elements(leaf.shape) }, () => random.normal()),
    );
  }
  for (const leaf of graph.leaves.values()) {
    if (leaf.name === 'activeRank') values.set(leaf, Float64Array.from(ranks));
    const trained = leaf.name.replace(/ at the start$/, '');
    if (same && trained !== leaf.name) values.set(leaf, values.get(leaves().find(({ name }) => name === trained)!)!);
  }
  return { y: [...interpret(graph, values).get(y)!], base: [...values.get(base)!] };
}

describe('attachAdapters', () => {
  it('changes nothing at the start, at any strength and rank', () => {
    for (const strength of [1, 0.5, -2]) {
      const { y, base } = run({ same: true, strength });
      y.forEach((value, i) => {
        expect(value).toBeCloseTo(base[i]!, 12);
      });
    }
  });

  it('scales the change with the strength, and has none at rank 0', () => {
    const [whole, half] = [run({ same: false }), run({ same: false, strength: 0.5 })];
    whole.y.forEach((value, i) => {
      expect(value - whole.base[i]!).toBeCloseTo(2 * (half.y[i]! - half.base[i]!), 12);
    });
    const masked = run({ same: false, ranks: [0, 3] });
    expect(masked.y.slice(0, 18)).toEqual(masked.base.slice(0, 18));
    expect(masked.y.slice(18)).not.toEqual(masked.base.slice(18));
  });

  it('leaves other layers alone and shares leaves between two uses of a layer', () => {
    const graph = createGraph();
    const attached = attachAdapters(graph, adapterLayout(LAYERS, false));
    const [x, base] = [input(graph, 'x', [1, 2, 5]), input(graph, 'base', [1, 2, 6])];
    expect(attached.hook('b.to_q', x, base)).toBe(base);
    attached.hook('a.to_q', x, attached.hook('a.to_q', x, base));
    expect(attached.leaves()).toHaveLength(2);
    expect(attached.paths()).toEqual(['a.to_q']);
    expect(attached.afterUpdate).toBeUndefined();
  });

  describe('for a CUDA device', () => {
    it('gives the same numbers', () => {
      const expected = run({ same: false, strength: 0.5 });
      const { y } = run({ same: false, strength: 0.5, partOf: () => undefined });
      y.forEach((value, i) => {
        expect(value).toBeCloseTo(expected.y[i]!, 12);
      });
    });

    it('forms the factors of a part’s layers together, where the first of them runs', () => {
      const graph = createGraph();
      const layers = [...LAYERS, { path: 'b.to_q', in: 5, out: 6, rank: 3 }];
      const partOf = (path: string): string | undefined => (path.startsWith('a.') ? 'a' : undefined);
      const { hook, leaves } = attachAdapters(graph, adapterLayout(layers, true), { partOf });
      const base = input(graph, 'base', [1, 2, 6]);
      for (const { path, in: width } of layers) hook(path, input(graph, `x of ${path}`, [1, 2, width]), base);
      expect(graph.nodes.map(({ op, path, inputs }) => [op.name, path, inputs.length])).toEqual([
        ['lowRankFactors', 'a', 1 + 2 * 6],
        ['lowRankBranch', '', 4],
        ['lowRankBranch', '', 4],
        ['lowRankFactors', 'b.to_q', 1 + 6],
        ['lowRankBranch', '', 4],
      ]);
      expect(leaves()).toHaveLength(9);
    });
  });

  describe('merging into the weight', () => {
    /** The op that gives a layer's output, for x [n, t, 5]. */
    const opOf = (
      n: number,
      t: number,
      options: AttachOptions,
      path = 'a.to_q',
      dtype: 'f32' | 'bf16' = 'f32',
    ): string => {
      const graph = createGraph();
      const { hook } = attachAdapters(graph, adapterLayout(LAYERS, true), options);
      const x = input(graph, 'x', [n, t, path === 'a.to_q' ? 5 : 4], dtype);
      return hook(path, x, linear(x, weight(graph, 'w', [6, x.shape[2]!], 'f16'), null)).node!.op.name;
    };

    it('is done for one sample, or samples of one rank, from as many rows on as it pays for', () => {
      expect(opOf(1, 6, { merge: true })).toBe('mergedLinear');
      expect(opOf(1, 5, { merge: true })).toBe('lowRank'); // 2 · 5 · 6 > 5 · (5 + 6)
      expect(opOf(1, 4, { merge: true }, 'a.to_k')).toBe('lowRank');
      expect(opOf(2, 3, { merge: true })).toBe('lowRank');
      expect(opOf(2, 3, { merge: true, equalRanks: true })).toBe('mergedLinear');
    });

    it('is not done unasked, nor in shorter types, nor where the product is not of the graph', () => {
      expect(opOf(1, 99, {})).toBe('lowRank');
      expect(opOf(1, 99, { merge: true }, 'a.to_q', 'bf16')).toBe('lowRank');
      const graph = createGraph();
      const { hook } = attachAdapters(graph, adapterLayout(LAYERS, true), { merge: true });
      const y = hook('a.to_q', input(graph, 'x', [1, 99, 5]), input(graph, 'cached', [1, 99, 6]));
      expect(y.node!.op.name).toBe('lowRank');
    });
  });

  it('appends one retract for all layers', () => {
    const layout = adapterLayout(LAYERS, true);
    const graph = createGraph();
    const judged = { loss: input(graph, 'loss', [1]), norm: input(graph, 'norm', [1]) };
    attachAdapters(graph, layout, { retract: true }).afterUpdate!(graph, judged);
    expect(graph.nodes.map((node) => node.op.name)).toEqual(['retract']);
    expect(graph.nodes[0]!.inputs.slice(2)).toEqual([judged.loss, judged.norm]);
    const { retractTable } = retractFeed(layout);
    expect([...retractTable!]).toEqual([0, 6, 3, 0, 32, 5, 3, 1, 64, 6, 2, 0, 80, 4, 2, 1]);
  });
});
