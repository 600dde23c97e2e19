import { expect, test } from 'vitest';
import { createGraph, input, result, state, type Value } from '../../../lib/graph/graph.js';
import { recordStep } from '../../../lib/ops/recordStep.js';
import { interpret } from '../../support/interpreter.js';
import { runNative } from '../../support/nativeRun.js';

const { NaN: NAN, POSITIVE_INFINITY: INF } = Number;

test.each([
  { header: [0, 1, 1, 0, 0, 0], step: [0.5, 2], growth: 0 },
  { header: [0, 1, 1, 0, 0, 0], step: [0.5, NAN], growth: 0 },
  { header: [0, 1, 1, 0, NAN, 1], step: [0.5, 2], growth: 0 },
  { header: [0, 1 / 8, 8, 3, 0, 1], step: [0.5, 2], growth: 4 },
  { header: [0, 1 / 8, 8, 3, 0, 1], step: [0.5, INF], growth: 4 },
  { header: [0, 1 / 8, 8, 3, 0, 1], step: [NAN, 1], growth: 4 },
  { header: [0, 1, 1, 3, 0, 1], step: [0.5, INF], growth: 4 },
  { header: [0, 2 ** -24, 2 ** 24, 3, 0, 2], step: [0.5, 2], growth: 4 },
  { header: [0, 1, 1, 1, 0, 1], step: [0.5, 2], growth: 0, samples: [0.25, 0.75] },
])('recordStep $step after $header, growth after $growth', async ({ header, step, growth, samples }) => {
  const graph = createGraph();
  const give = new Map<Value, Float64Array>();
  const steps = state(graph, 'steps', 0, [samples ? 20 : 16], 'steps');
  const [loss, norm] = [input(graph, 'loss', [1]), input(graph, 'norm', [1])];
  give.set(steps, Float64Array.from([...header, 0, 0, ...Array<number>(samples ? 12 : 8).fill(7)]));
  const losses = samples ? input(graph, 'losses', [2]) : null;
  if (losses) give.set(losses, Float64Array.from(samples!));
  give.set(loss, Float64Array.of(step[0]!)).set(norm, Float64Array.of(step[1]!));
  const verdict = recordStep({ steps, loss, norm, losses }, { growthInterval: growth });
  result(graph, 'verdict', verdict);
  const all = interpret(graph, give);
  const results = await runNative(graph, give);
  expect(results.get('verdict')).toEqual(Float32Array.from(all.get(verdict)!));
  expect(results.get('after steps')).toEqual(Float32Array.from(all.get(verdict.node!.outputs[0]!)!));
});
