import { describe, it } from 'vitest';
import { silu } from '../../lib/ops/silu.js';
import { evaluate, expectNear } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

describe('silu', () => {
  it('is x · sigmoid(x)', () => {
    const [y] = evaluate({ x: { shape: [4], values: [-6, -2, 0, 1.5] } }, ({ x }) => silu(x!));
    expectNear(y!, [-0.01483573894, -0.238405844044, 0, 1.22636171429]);
  });

  it('has the right gradient', () => {
    checkGradients({ inputs: { x: [3, 7] }, build: ({ x }) => silu(x!), spread: 3 });
  });
});
