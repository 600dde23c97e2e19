// Plans that are whole, but that a kernel would read past the end of something with.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine } from '../../lib/addon/surface.js';
import { createGraph, type DType, type Graph, input, result, weight, within } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { cast } from '../../lib/ops/cast.js';
import { concat } from '../../lib/ops/concat.js';
import { conv2d } from '../../lib/ops/conv2d.js';
import { embedding } from '../../lib/ops/embedding.js';
import { linear } from '../../lib/ops/linear.js';
import { scale } from '../../lib/ops/scale.js';
import { slice } from '../../lib/ops/slice.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import type { Plan, PlannedTensor } from '../../lib/plan/plan.js';

let engine: Engine;
beforeEach(() => {
  engine = loadAddon().createEngine({ threads: 1 });
});
afterEach(() => engine.dispose());

const planned = (build: (graph: Graph) => void): Plan => {
  const graph = createGraph();
  build(graph);
  return makePlan(graph, 1);
};

function expectRefused(plan: Plan, message: string): void {
  expect(() => engine.load(encodePlan(plan))).toThrow(expect.objectContaining({ code: 'ERR_TLORA_PLAN', message }));
}

const linearPlan = (): Plan =>
  planned((graph) => {
    const x = input(graph, 'x', [5, 20]);
    const w = weight(graph, 'w', [4, 20], 'bf16');
    result(
      graph,
      'y',
      within(graph, 'mid', () => linear(x, w, weight(graph, 'b', [4], 'f32'))),
    );
  });

function addLinear(bias: DType = 'f32'): void {
  engine.addWeight({ name: 'w', dtype: 'bf16', shape: [4, 20], matrix: true }, new Uint16Array(80));
  const values = bias === 'f32' ? new Float32Array(4) : new Uint16Array(4);
  engine.addWeight({ name: 'b', dtype: bias, shape: [4], keep: true }, values);
}

/** Call `i` with other inputs. */
function withInputs(
  plan: Plan,
  i: number,
  change: (inputs: (PlannedTensor | null)[]) => (PlannedTensor | null)[],
): Plan {
  plan.calls[i] = { ...plan.calls[i]!, inputs: change(plan.calls[i]!.inputs) };
  return plan;
}

test('for another device', () => {
  const graph = createGraph();
  result(graph, 'y', scale(input(graph, 'x', [4], 'bf16'), 2));
  expectRefused(
    makePlan(graph, { device: 'cuda', threads: 1, workspaceBytes: 0 }),
    'plan: device: expected one made for cpu, got one for cuda: make it anew with --device cpu, or run it with --device cuda',
  );
});

test('16-bit values, of which the CPU has only weights', () => {
  const narrow = planned((graph) => result(graph, 'y', scale(cast(input(graph, 'x', [4]), 'bf16'), 2)));
  expectRefused(narrow, '[scale] input 0: expected float32, got bf16 (at the top level)');
  const output = planned((graph) => result(graph, 'y', scale(input(graph, 'x', [4]), 2)));
  const y = output.results.get('y')!;
  y.value = { ...y.value, dtype: 'f16' };
  expectRefused(output, '[scale] output 0: expected float32, got f16 (at the top level)');
});

test('a plain weight that is kept in 16 bits, but for tables', () => {
  addLinear('bf16');
  const plan = linearPlan();
  const bias = plan.weights.get('b')!;
  bias.value = { ...bias.value, dtype: 'bf16' };
  expectRefused(plan, '[linear] input 2: expected float32, got bf16 (at mid)');
  engine.addWeight({ name: 'table', dtype: 'bf16', shape: [4, 3], keep: true }, new Uint16Array(12));
  const table = planned((graph) =>
    result(graph, 'y', embedding(input(graph, 'ids', [1, 2], 'i32'), weight(graph, 'table', [4, 3], 'bf16'))),
  );
  engine.load(encodePlan(table)).dispose();
});

test('floats in the place of indices', () => {
  engine.addWeight({ name: 'table', dtype: 'f32', shape: [4, 3] }, new Float32Array(12));
  const plan = planned((graph) =>
    result(graph, 'y', embedding(input(graph, 'ids', [1, 2], 'i32'), weight(graph, 'table', [4, 3], 'f32'))),
  );
  const ids = plan.inputs.get('ids')!;
  ids.value = { ...ids.value, dtype: 'f32' };
  expectRefused(plan, '[embedding] input 0: expected int32, got float32 (at the top level)');
});

test('too few inputs, outputs or attributes, and none where one is needed', () => {
  addLinear();
  const fewer = withInputs(linearPlan(), 0, (inputs) => inputs.slice(0, 2));
  expectRefused(fewer, '[linear] expected 3 inputs, got 2 (at mid)');
  expectRefused(
    withInputs(linearPlan(), 0, ([x]) => [x!, null, null]),
    '[linear] input 1: expected one, got none (at mid)',
  );
  engine.load(encodePlan(withInputs(linearPlan(), 0, ([x, w]) => [x!, w!, null]))).dispose();
  const silent = linearPlan();
  silent.calls[0] = { ...silent.calls[0]!, outputs: [] };
  expectRefused(silent, '[linear] expected 1 outputs, got 0 (at mid)');
  const scaled = planned((graph) => result(graph, 'y', scale(input(graph, 'x', [4]), 2)));
  const call = scaled.calls[0]!;
  scaled.calls[0] = { ...call, node: { ...call.node, op: { ...call.node.op, attrs: [] } } };
  expectRefused(scaled, '[scale] expected 1 attributes, got 0 (at the top level)');
});

test('a packed matrix where a plain weight is read, and one that is packed by other rows', () => {
  engine.addWeight({ name: 'w', dtype: 'f32', shape: [4, 20], matrix: true }, new Float32Array(80));
  const added = planned((graph) =>
    result(graph, 'y', add(input(graph, 'x', [4, 20]), weight(graph, 'w', [4, 20], 'f32'))),
  );
  added.weights.get('w')!.matrix = true;
  expectRefused(added, '[add] input 1: expected a plain tensor, got a packed matrix (at the top level)');
  engine.addWeight({ name: 'w', dtype: 'bf16', shape: [1, 4, 20], matrix: true }, new Uint16Array(80));
  engine.addWeight({ name: 'b', dtype: 'f32', shape: [4] }, new Float32Array(4));
  expectRefused(linearPlan(), "weight 'w': expected a matrix of 4 rows, got 1");
});

/** The tensor, with other sizes. */
function sized(tensor: PlannedTensor | null | undefined, shape: readonly number[]): PlannedTensor {
  return { ...tensor!, value: { ...tensor!.value, shape } };
}

test('sizes of tensors that do not belong together', () => {
  addLinear();
  expectRefused(
    withInputs(linearPlan(), 0, ([x, w, b]) => [sized(x, [5, 19]), w!, b!]),
    '[linear] input 1: sizes [4,20] do not fit * k, o k, o; * o (at mid)',
  );
  const longer = linearPlan();
  longer.calls[0] = { ...longer.calls[0]!, outputs: [sized(longer.calls[0]!.outputs[0], [4, 4])] };
  expectRefused(longer, '[linear] output 0: sizes [4,4] do not fit * k, o k, o; * o (at mid)');
  const joined = (): Plan =>
    planned((graph) => result(graph, 'y', concat(input(graph, 'a', [3, 4]), input(graph, 'b', [3, 5]))));
  expectRefused(
    withInputs(joined(), 0, ([a, b]) => [sized(a, [3, 3]), b!]),
    '[concat] output 0: sizes [3,9] do not fit * a, * b; * a+b (at the top level)',
  );
  engine.load(encodePlan(joined())).dispose();
});

test('attributes that reach past a tensor', () => {
  const part = planned((graph) => result(graph, 'y', slice(input(graph, 'x', [3, 7]), { start: 2, end: 5 })));
  const call = part.calls[0]!;
  const withAttrs = (attrs: Readonly<Record<string, number>>): Plan => {
    part.calls[0] = { ...call, node: { ...call.node, attrs } };
    return part;
  };
  const rule = '* c; * @1-@0; @0<=@1, @1<=c (at the top level)';
  expectRefused(withAttrs({ start: 5, end: 8 }), `[slice] sizes and attributes against @1<=c do not fit ${rule}`);
  expectRefused(withAttrs({ start: -1, end: 2 }), `[slice] output 0: sizes [3,3] do not fit ${rule}`);
  engine.load(encodePlan(withAttrs({ start: 4, end: 7 }))).dispose();
});

test('a picture that is not the one of a convolution', () => {
  engine.addWeight({ name: 'w', dtype: 'f32', shape: [2, 3, 3, 4], matrix: true }, new Float32Array(72));
  const plan = planned((graph) => {
    const w = weight(graph, 'w', [2, 3, 3, 4], 'f32');
    result(graph, 'y', conv2d(input(graph, 'x', [1, 6, 6, 4]), w, null, { pad: 1 }));
  });
  engine.load(encodePlan(plan)).dispose();
  const call = plan.calls[0]!;
  plan.calls[0] = { ...call, inputs: [sized(call.inputs[0], [1, 5, 6, 4]), ...call.inputs.slice(1)] };
  expectRefused(plan, '[conv2d] sizes of y are not those of x, window, stride and padding (at the top level)');
});
