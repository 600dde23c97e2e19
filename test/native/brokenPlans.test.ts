import { expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import { createGraph, input, result, state, weight, within } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { scale } from '../../lib/ops/scale.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

/** A plan with every kind of tensor. */
function someplan(): Uint8Array {
  const graph = createGraph();
  const x = input(graph, 'x', [2, 8]);
  const y = within(graph, 'mid', () => add(scale(add(x, weight(graph, 'w', [2, 8], 'f32')), 3), x));
  result(graph, 'y', add(y, state(graph, 's', 4, [2, 8], 'p')));
  return encodePlan(makePlan(graph, 1));
}

function tryLoad(bytes: Uint8Array): string {
  const engine = loadAddon().createEngine({ threads: 1 });
  engine.createState('s', 20);
  engine.addWeight({ name: 'w', dtype: 'f32', shape: [2, 8] }, new Float32Array(16));
  try {
    engine.load(bytes);
    return 'loaded';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    engine.dispose();
  }
}

const refused = ['ERR_TLORA_PLAN', 'ERR_TLORA_OUT_OF_MEMORY', 'ERR_TLORA_NATIVE'];

test('a whole plan loads; cut off anywhere, or with bytes behind it, it is refused', () => {
  const plan = someplan();
  expect(tryLoad(plan)).toBe('loaded');
  for (let length = 0; length < plan.length; length++) expect(tryLoad(plan.subarray(0, length))).toBe('ERR_TLORA_PLAN');
  expect(tryLoad(Uint8Array.of(...plan, 0))).toBe('ERR_TLORA_PLAN');
});

test('wrong bytes anywhere are refused with a code, or make another valid plan; nothing crashes', () => {
  const plan = someplan();
  const random = pseudoRandom(7);
  const answers = new Map<string, number>();
  for (let i = 0; i < 3000; i++) {
    const broken = plan.slice();
    for (let k = random.below(3); k >= 0; k--) broken[random.below(broken.length)] = random.below(256);
    const answer = tryLoad(broken);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  expect([...answers.keys()].filter((a) => a !== 'loaded' && !refused.includes(a))).toEqual([]);
  expect(answers.get('ERR_TLORA_PLAN')).toBeGreaterThan(500);
});

test('a plan of another format or device is refused by number', () => {
  const engine = loadAddon().createEngine({ threads: 1 });
  const changed = (at: number, value: number): Uint8Array => {
    const plan = someplan();
    plan[at] = value;
    return plan;
  };
  expect(() => engine.load(changed(8, 1))).toThrow(
    'plan: expected format 2, got 1: it is of an older tlora, make it anew',
  );
  expect(() => engine.load(changed(8, 99))).toThrow('plan: expected format 2, got 99: it is of a newer tlora');
  expect(() => engine.load(changed(12, 7))).toThrow('plan: device: expected 0 or 1, got 7');
  engine.dispose();
});
