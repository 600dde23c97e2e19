import { describe, expect, it } from 'vitest';
import { elements, type Graph } from '../../lib/graph/graph.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { memoryForecast, planWithin } from '../../lib/plan/memoryBudget.js';
import { blockOf, recomputeCandidates, remat } from '../../lib/transform/remat.js';
import { interpret } from '../support/interpreter.js';
import { pseudoRandom } from '../support/pseudoRandom.js';
import { smallNetwork } from '../support/smallNetwork.js';

function results(graph: Graph): Map<string, number[]> {
  const random = pseudoRandom(7);
  const leaves = new Map(
    [...graph.leaves.values()].map((v) => [v, Float64Array.from({ length: elements(v.shape) }, () => random.normal())]),
  );
  const values = interpret(graph, leaves);
  return new Map([...graph.results].map(([name, v]) => [name, [...values.get(v)!]]));
}

describe('blockOf', () => {
  it('names the innermost recomputable block', () => {
    expect(blockOf('down_blocks.1.resnets.0.conv1')).toBe('down_blocks.1.resnets.0');
    expect(blockOf('mid_block.attentions.0.transformer_blocks.9.attn1.to_q')).toBe(
      'mid_block.attentions.0.transformer_blocks.9',
    );
    expect(blockOf('conv_in')).toBeUndefined();
  });
});

describe('remat', () => {
  it('gives the same numbers', () => {
    const { graph } = smallNetwork(4, 3, 5);
    const blocks = new Set(recomputeCandidates(graph).map((c) => c.block));
    expect(blocks.size).toBe(4);
    expect(results(remat(graph, blocks))).toEqual(results(graph));
  });

  it('needs fewer bytes, and more nodes', () => {
    const { graph } = smallNetwork(8, 64, 32);
    const all = remat(graph, new Set(recomputeCandidates(graph).map((c) => c.block)));
    expect(all.nodes.length).toBeGreaterThan(graph.nodes.length);
    expect(makePlan(all, 1).arenaBytes).toBeLessThan(0.7 * makePlan(graph, 1).arenaBytes);
  });

  it('leaves blocks that were not asked for alone', () => {
    const { graph } = smallNetwork(3, 4, 4);
    const one = remat(graph, new Set(['resnets.1']));
    expect(one.nodes.length - graph.nodes.length).toBe(2);
  });
});

describe('planWithin', () => {
  const { graph } = smallNetwork(8, 64, 32);
  const plain = memoryForecast(makePlan(graph, 1)).totalBytes;

  it('recomputes nothing without a budget, or with enough', () => {
    expect(planWithin(graph, 1, undefined).recomputed).toEqual([]);
    expect(planWithin(graph, 1, plain).recomputed).toEqual([]);
  });

  it('recomputes as few blocks as fit', () => {
    const all = remat(graph, new Set(recomputeCandidates(graph).map((c) => c.block)));
    const budget = (plain + memoryForecast(makePlan(all, 1)).totalBytes) / 2;
    const smaller = planWithin(graph, 1, budget);
    expect(smaller.forecast.totalBytes).toBeLessThanOrEqual(budget);
    expect(smaller.recomputed.length).toBeGreaterThan(0);
    expect(smaller.recomputed.length).toBeLessThan(8);
  });

  it('names the smallest budget that works', () => {
    expect(() => planWithin(graph, 1, 1000)).toThrow(/memory: expected at least [\d.]+MB .* got 1.00kB/);
  });
});
