import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectRank, expectThat } from '../graph/shapes.js';

export interface TimestepFeaturesOptions {
  dim: number;
  /** Cosines first, as UNets want it (default true). */
  flipSinToCos?: boolean;
  /** Subtracted from dim/2 in the exponent (default 0). */
  freqShift?: number;
}

/**
 * Sinusoids of t [n] (f32 or i32) as [n, dim] f32: sin and cos of t · 10000^(−i / (dim/2 − freqShift)), i < ⌊dim/2⌋; the last column
 * of an odd dim is 0. Exponents, frequencies and angles are rounded to float32, as in diffusers' get_timestep_embedding: models were trained
 * with angles that are off by up to 2^-24 of themselves, 1e-4 and more for large times and picture sizes. Sines and cosines in float64.
 */
export const timestepFeaturesOp: Op = { name: 'timestepFeatures', attrs: ['dim', 'flipSinToCos', 'freqShift'] };

export function timestepFeatures(t: Value, options: TimestepFeaturesOptions): Value {
  const { dim, flipSinToCos = true, freqShift = 0 } = options;
  expectRank('timestepFeatures', 't', t, 1);
  expectDType('timestepFeatures', 't', t, 'f32', 'i32');
  const usable = Number.isInteger(dim) && dim >= 2 && Math.floor(dim / 2) !== freqShift;
  expectThat(usable, 'timestepFeatures', 'dim', 'an integer above 1 whose half is not freqShift', `${dim}`, t);
  const attrs = { dim, flipSinToCos: flipSinToCos ? 1 : 0, freqShift };
  const outputs = [{ name: 'y', shape: [t.shape[0]!, dim], dtype: 'f32' as const }];
  return addNode(t.graph, timestepFeaturesOp, [t], outputs, attrs).outputs[0]!;
}
