import { expect, test } from 'vitest';
import { createGraph, type Graph, input, result, weight, within } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { reshape } from '../../lib/ops/reshape.js';
import { encodePlan, PLAN_FORMAT } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';

function sample(): Graph {
  const graph = createGraph();
  const x = input(graph, 'x', [2, 3]);
  const y = within(graph, 'layer', () => add(x, weight(graph, 'unet/größe', [2, 3], 'f32')));
  result(graph, 'y', reshape(add(y, y), [6]));
  return graph;
}

test('the head carries format, device, threads and sizes; names stand once, in UTF-8', () => {
  const plan = makePlan(sample(), 3);
  const bytes = encodePlan(plan);
  const view = new DataView(bytes.buffer);
  const text = new TextDecoder().decode(bytes);
  expect(text.slice(0, 8)).toBe('TLORAPLN');
  expect(view.getUint32(8, true)).toBe(PLAN_FORMAT);
  expect(view.getUint32(12, true)).toBe(0);
  expect(view.getUint32(16, true)).toBe(3);
  expect(view.getBigUint64(20, true)).toBe(BigInt(plan.arenaBytes));
  expect(view.getBigUint64(28, true)).toBe(BigInt(plan.ioBytes));
  expect(text.split('unet/größe')).toHaveLength(2);
  const cuda = encodePlan(makePlan(sample(), { device: 'cuda', threads: 3, workspaceBytes: 0 }));
  expect(new DataView(cuda.buffer).getUint32(12, true)).toBe(1);
});

test('the same graph gives the same bytes', () => {
  expect(encodePlan(makePlan(sample(), 2))).toEqual(encodePlan(makePlan(sample(), 2)));
});

test('views are not encoded: two calls, both of add', () => {
  const text = new TextDecoder('latin1').decode(encodePlan(makePlan(sample(), 1)));
  expect(text).not.toContain('reshape');
  expect(text).toContain('add');
});

test('a result in the arena is refused: the next program would overwrite it', () => {
  const plan = makePlan(sample(), 1);
  plan.results.get('y')!.place = 'arena';
  expect(() => encodePlan(plan)).toThrow(/result 'y' \(24 bytes\): expected it in io/);
});
