import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { layerNorm } from '../../lib/ops/layerNorm.js';
import { scale } from '../../lib/ops/scale.js';
import { evaluate, expectNear } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('layerNorm', () => {
  it('agrees with the reference', () => {
    const given = {
      x: { shape: [2, 4], values: Array.from({ length: 8 }, (_, i) => Math.cos(i)) },
      w: { shape: [4], values: [1, 0.5, -2, 3] },
      b: { shape: [4], values: [0, 0.1, 0.2, -0.3] },
    };
    const [y] = evaluate(given, ({ x, w, b }) => layerNorm(x!, w!, b!, { eps: 1e-5 }));
    // torch 2: F.layer_norm(arange(8).cos().reshape(2, 4), [4], w, b, 1e-5) in float64.
    expectNear(
      y!,
      [
        1.237239216116, 0.424372328245, 1.351359676495, -4.230912103077, -1.591685487017, 0.057894097994,
        -1.807639213728, 1.716233052494,
      ],
    );
  });

  it('has right gradients for input, weight and bias', () => {
    const inputs = { x: [2, 3, 5], w: [5], b: [5] };
    checkGradients({ inputs, build: ({ x, w, b }) => layerNorm(x!, w!, b!, { eps: 1e-5 }) });
  });

  it('has the right gradient without weight and bias', () => {
    checkGradients({ inputs: { x: [4, 6] }, build: ({ x }) => layerNorm(x!, null, null, { eps: 1e-5 }) });
  });

  it('has the right gradient beside what goes around it', () => {
    const inputs = { x: [2, 3, 5], w: [5], b: [5] };
    checkGradients({
      inputs,
      build: ({ x, w, b }) => add(x!, scale(layerNorm(x!, w!, b!, { eps: 1e-5 }), 2)),
    });
  });

  it('refuses a weight of another width', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [2, 3, 5]);
    expect(() => layerNorm(x, input(graph, 'w', [4]), null, { eps: 1e-5 })).toThrow(
      '[layerNorm] shape of w: expected [5], got [4]',
    );
  });
});
