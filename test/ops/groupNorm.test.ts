import { describe, expect, it } from 'vitest';
import { createGraph, input, type Value } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { groupNorm } from '../../lib/ops/groupNorm.js';
import { scale } from '../../lib/ops/scale.js';
import { evaluate, expectNear } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

// torch 2: F.group_norm(arange(24).sin().reshape(2, 4, 3), 2, w, b, 1e-5) in float64, written channels last.
const given = {
  x: {
    shape: [2, 3, 4],
    values: Array.from({ length: 24 }, (_, i) =>
      Math.sin(Math.floor(i / 12) * 12 + (i % 4) * 3 + (Math.floor(i / 4) % 3)),
    ),
  },
  w: { shape: [4], values: [1, 0.5, -2, 3] },
  b: { shape: [4], values: [0, 0.1, 0.2, -0.3] },
};

describe('groupNorm', () => {
  it('agrees with the reference', () => {
    const [y] = evaluate(given, ({ x, w, b }) => groupNorm(x!, w!, b!, { groups: 2, eps: 1e-5 }));
    expectNear(
      y!,
      [
        -0.041234174201, 0.178478834256, 1.109453143317, 1.296935864094, 1.140544989232, -0.452051584509,
        -1.563632975228, -2.797208345251, 1.235801839859, -0.593983577192, -2.512432685456, -4.749646294894,
        -0.843133218487, 0.537479589297, 2.532782093043, 3.146074716414, 0.541837706766, -0.141580309881,
        -0.094478311876, -0.552650841423, 1.367603634318, -0.629053340715, -2.319872416648, -4.215776828212,
      ],
    );
  });

  it('agrees with the reference with SiLU', () => {
    const [y] = evaluate(given, ({ x, w, b }) => groupNorm(x!, w!, b!, { groups: 2, eps: 1e-5, silu: true }));
    expectNear(y!.slice(0, 4), [-0.020192083036, 0.09718201779, 0.834338881426, 1.018508171374]);
  });

  it.each([false, true])('has right gradients, silu %s', (silu) => {
    const inputs = { x: [2, 3, 2, 6], w: [6], b: [6] };
    checkGradients({ inputs, build: ({ x, w, b }) => groupNorm(x!, w!, b!, { groups: 3, eps: 1e-5, silu }) });
  });

  it.each([false, true])('has right gradients beside what goes around it, silu %s', (silu) => {
    const inputs = { x: [2, 3, 2, 6], w: [6], b: [6] };
    const build = ({ x, w, b }: Record<string, Value>): Value =>
      add(x!, scale(groupNorm(x!, w!, b!, { groups: 3, eps: 1e-5, silu }), 2));
    checkGradients({ inputs, build });
    checkGradients({ inputs, build, narrow: true });
  });

  it('has right gradients for one position and for one group', () => {
    const inputs = { x: [2, 8], w: [8], b: [8] };
    checkGradients({ inputs, build: ({ x, w, b }) => groupNorm(x!, w!, b!, { groups: 1, eps: 1e-3, silu: true }) });
  });

  it('names what is wrong with the sizes', () => {
    const graph = createGraph();
    const x = input(graph, 'x', [1, 4, 4, 10]);
    const w = input(graph, 'w', [10]);
    const b = input(graph, 'b', [12]);
    expect(() => groupNorm(x, w, w, { groups: 4, eps: 1e-5 })).toThrow(
      '[groupNorm] channels of x: expected a multiple of 4, got 10',
    );
    expect(() => groupNorm(x, w, b, { groups: 5, eps: 1e-5 })).toThrow(
      '[groupNorm] shape of b: expected [10], got [12]',
    );
  });
});
