import { describe, it } from 'vitest';
import { type GeluKind, gelu } from '../../lib/ops/gelu.js';
import { evaluate, expectNear } from '../support/evaluate.js';
import { checkGradients } from '../support/gradientCheck.js';

// torch 2: F.gelu(x), x * sigmoid(1.702 x) and F.gelu(x, approximate='tanh') in float64.
const curves: [GeluKind, number[]][] = [
  ['erf', [-5.92e-9, -0.045500263896, -0.169374556556, 0, 0.185373426657, 1.399789198097, 3.999873315033]],
  ['quick', [-0.00022035355, -0.064341376856, -0.163106048277, 0, 0.187484135382, 1.391662198447, 3.99558527586]],
  ['tanh', [-8.4e-11, -0.045402305912, -0.169429865295, 0, 0.185370923543, 1.39957157698, 3.999929754052]],
];

describe.each(curves)('gelu, %s', (kind, expected) => {
  it('agrees with the reference', () => {
    const [y] = evaluate({ x: { shape: [7], values: [-6, -2, -0.7, 0, 0.3, 1.5, 4] } }, ({ x }) => gelu(x!, kind));
    expectNear(y!, expected);
  });

  it('has the right gradient', () => {
    checkGradients({ inputs: { x: [3, 7] }, build: ({ x }) => gelu(x!, kind), spread: 3 });
  });
});
