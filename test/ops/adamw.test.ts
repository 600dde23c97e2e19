import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { adamw } from '../../lib/ops/adamw.js';
import { evaluate, expectNear } from '../support/evaluate.js';

type State = { params: number[]; m: number[]; v: number[] };

/** One step with gradient g; loss 0.5. */
function step(state: State, g: number[], hyper: number[], norm: number): State {
  const vector = (values: number[]) => ({ shape: [values.length], values });
  const given = {
    params: vector(state.params),
    grads: vector(g),
    m: vector(state.m),
    v: vector(state.v),
    hyper: vector(hyper),
    loss: vector([0.5]),
    norm: vector([norm]),
  };
  const [params, m, v] = evaluate(given, (i) => {
    const after = adamw(i as Parameters<typeof adamw>[0] & typeof i);
    return [after.params, after.m, after.v];
  });
  return { params: params!, m: m!, v: v! };
}

/** Three steps as in the reference below. */
function threeSteps(maxNorm: number): State {
  let state: State = { params: [1, -2, 0.5], m: [0, 0, 0], v: [0, 0, 0] };
  for (let k = 1; k <= 3; k++) {
    const g = [0.3 * k, -4, 0];
    const hyper = [0.01, 0.9, 0.99, 1e-8, 0.1, 1 - 0.9 ** k, 1 - 0.99 ** k, maxNorm];
    state = step(state, g, hyper, Math.hypot(...g));
  }
  return state;
}

// torch 2: AdamW([1, -2, 0.5], lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1) in float64, three steps with
// gradients [0.3 k, -4, 0], without and with clip_grad_norm_(params, 1).
describe('adamw', () => {
  it('agrees with the reference', () => {
    const { params, m, v } = threeSteps(0);
    expectNear(params, [0.967838539254, -1.964035988075, 0.4985014995]);
    expectNear(m, [0.1683, -1.084, 0]);
    expectNear(v, [0.01254609, 0.475216, 0]);
  });

  it('agrees with the reference when the gradient is clipped', () => {
    const { params, m, v } = threeSteps(1);
    expectNear(params, [0.967809522693, -1.964045424776, 0.4985014995]);
    expectNear(m, [0.041359835919, -0.267338325532, 0]);
    expectNear(v, [0.000754526329, 0.028946459011, 0]);
  });

  it('does nothing when the norm is not finite', () => {
    const state: State = { params: [1, -2], m: [0.1, 0.2], v: [0.3, 0.4] };
    expect(step(state, [Number.NaN, 1], [0.01, 0.9, 0.99, 1e-8, 0.1, 0.1, 0.01, 1], Number.NaN)).toEqual(state);
  });

  it('refuses moments of another length', () => {
    const graph = createGraph();
    const [params, short] = [input(graph, 'p', [4]), input(graph, 'm', [3])];
    const [hyper, loss] = [input(graph, 'h', [8]), input(graph, 'l', [1])];
    const inputs = { params, grads: params, m: short, v: params, hyper, loss, norm: loss };
    expect(() => adamw(inputs)).toThrow('[adamw] shape of m: expected [4], got [3]');
  });
});
