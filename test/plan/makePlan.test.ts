import { describe, expect, it } from 'vitest';
import {
  addNode,
  byteLength,
  createGraph,
  elements,
  input,
  type Op,
  result,
  state,
  type Value,
  weight,
} from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { linear } from '../../lib/ops/linear.js';
import { reshape } from '../../lib/ops/reshape.js';
import { liveNodes } from '../../lib/plan/lifetimes.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import type { Plan, PlannedTensor } from '../../lib/plan/plan.js';
import { pseudoRandom } from '../support/pseudoRandom.js';
import { smallNetwork } from '../support/smallNetwork.js';

/** A kernel with any number of inputs and some scratch, for plans that never run. */
const mixOp: Op = { name: 'mix', attrs: [], scratchBytes: (node) => (node.id % 3) * 100 };

function randomGraph(seed: number): Plan {
  const random = pseudoRandom(seed);
  const graph = createGraph();
  const values: Value[] = [input(graph, 'x', [16])];
  for (let i = 0; i < 60; i++) {
    const pick = (): Value => values[random.below(values.length)]!;
    const kind = random.below(4);
    if (kind === 0) {
      const x = pick();
      values.push(reshape(x, [1, elements(x.shape)]));
    } else if (kind === 1) {
      const a = pick();
      values.push(add(a, a));
    } else {
      const shape = [1 + random.below(200)];
      values.push(addNode(graph, mixOp, [pick(), pick()], [{ name: 'y', shape, dtype: 'f32' }]).outputs[0]!);
    }
    if (random.below(10) === 0) result(graph, `r${i}`, values.at(-1)!);
  }
  result(graph, 'last', values.at(-1)!);
  return makePlan(graph, 2);
}

/**
 * Runs a plan symbolically: every arena byte remembers which value was last written to it, and every read must find its own
 * value (or a view of it) untouched.
 */
function checkNoOverlap(plan: Plan): void {
  const owner = new Array<number>(plan.arenaBytes / 4).fill(-1);
  const rootOf = (v: Value): Value => (v.node?.op.kernel === false ? rootOf(v.node.inputs[0]!) : v);
  const span = (t: PlannedTensor): [number, number] => [t.offset / 4, (t.offset + byteLength(t.value)) / 4];
  const problems: string[] = [];
  for (const call of plan.calls) {
    const own = [...call.inputs, ...call.outputs].filter((t) => t?.place === 'arena').map((t) => span(t!));
    const where = `node ${call.node.id}`;
    for (const t of call.inputs) {
      if (t?.place !== 'arena') continue;
      const [from, to] = span(t);
      const id = rootOf(t.value).id;
      for (let i = from; i < to; i++) if (owner[i] !== id) problems.push(`${where} reads ${id}, finds ${owner[i]}`);
    }
    for (let i = call.scratchOffset / 4; i < (call.scratchOffset + call.scratchBytes) / 4; i++) {
      if (own.some(([from, to]) => i >= from && i < to)) problems.push(`${where}: scratch overlaps an operand`);
      owner[i] = -2;
    }
    for (const t of call.outputs) if (t?.place === 'arena') owner.fill(t.value.id, ...span(t));
  }
  expect(problems).toEqual([]);
}

describe('makePlan', () => {
  it('never lets live values overlap, in random graphs', () => {
    for (let seed = 1; seed <= 40; seed++) checkNoOverlap(randomGraph(seed));
  });

  it('stays within six per cent of the live peak on a differentiated chain', () => {
    const plan = makePlan(smallNetwork(12, 32, 24).graph, 2);
    checkNoOverlap(plan);
    expect(plan.arenaBytes / plan.livePeakBytes).toBeLessThan(1.06);
  });

  it('drops nodes that nothing needs and keeps those with an effect', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [4]);
    const effect: Op = { name: 'effect', attrs: [], effect: true, alias: { 0: 0 } };
    add(x, x);
    addNode(graph, effect, [state(graph, 'params', 0, [4], 'p')], [{ name: 'p', shape: [4], dtype: 'f32' }]);
    result(graph, 'y', add(x, x));
    expect(liveNodes(graph).map((n) => n.op.name)).toEqual(['effect', 'add']);
  });

  it('writes a value with a home into its state buffer', () => {
    const graph = createGraph();
    const y = add(input(graph, 'x', [4]), input(graph, 'z', [4]));
    y.home = { buffer: 'grads', offset: 32 };
    const plan = makePlan(graph, 1);
    expect(plan.calls[0]!.outputs[0]).toMatchObject({ place: 'state', buffer: 'grads', offset: 128 });
    expect(plan.stateBytes.get('grads')).toBe(144);
  });

  it('writes an elementwise output over an input that dies there', () => {
    const graph = createGraph();
    const a = add(input(graph, 'x', [64]), input(graph, 'z', [64]));
    const b = add(a, input(graph, 'z', [64]));
    result(graph, 'y', add(b, input(graph, 'x', [64])));
    const plan = makePlan(graph, 1);
    expect(plan.arenaBytes).toBe(256);
  });

  it('marks weights that are read as matrices and refuses mixed uses', () => {
    const graph = createGraph();
    const w = weight(graph, 'unet/w', [8, 4], 'f16');
    result(graph, 'y', linear(input(graph, 'x', [2, 4]), w, null));
    expect(makePlan(graph, 1).weights.get('unet/w')).toMatchObject({ matrix: true, place: 'weight' });
    result(graph, 'z', add(w, w));
    expect(() => makePlan(graph, 1)).toThrow("weight 'unet/w' is read both as a matrix and as a plain tensor");
  });

  it('counts elements', () => {
    expect(elements([2, 3, 4])).toBe(24);
  });
});
