import { erf } from '../erf.js';
import type { Meaning } from '../interpreter.js';
import { sigmoid } from './silu.js';

interface Curve {
  value(x: number): number;
  slope(x: number): number;
}

export const geluErf: Curve = {
  value: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  slope: (x) => 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI),
};

const quick: Curve = {
  value: (x) => x * sigmoid(1.702 * x),
  slope: (x) => sigmoid(1.702 * x) * (1 + 1.702 * x * (1 - sigmoid(1.702 * x))),
};

const tanhOf = (x: number): number => Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));

const tanh: Curve = {
  value: (x) => 0.5 * x * (1 + tanhOf(x)),
  slope: (x) =>
    0.5 * (1 + tanhOf(x)) + 0.5 * x * (1 - tanhOf(x) ** 2) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x),
};

const curves: readonly Curve[] = [geluErf, quick, tanh];

const gelu: Meaning = ([x], { kind }) => [x!.data.map(curves[kind!]!.value)];

const geluVjp: Meaning = ([x, dy], { kind }) => [x!.data.map((v, i) => dy!.data[i]! * curves[kind!]!.slope(v))];

export const meanings: Record<string, Meaning> = { gelu, geluVjp };
