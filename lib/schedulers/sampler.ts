import type { TimestepSpacing } from './noiseSchedule.js';

export type SamplerKind = 'euler' | 'ddim' | 'dpmpp2m';

export interface SamplerOptions {
  /** Number of model evaluations (of guided pairs). */
  readonly steps: number;
  /** Noise levels of Karras et al. 2022; default: the model's `use_karras_sigmas`. Not for ddim. */
  readonly karras?: boolean;
  /** Default: the model's `timestep_spacing`. */
  readonly spacing?: TimestepSpacing;
}

/**
 * A deterministic solver of the reverse process. Start from initNoiseSigma · (unit normals), then for i = 0, 1, …
 * evaluate the model on scaleModelInput(x, i) at timesteps[i] and replace x by step(output, i, x). Coefficients are
 * float64, each result is rounded once to float32. Arguments are never written to.
 */
export interface Sampler {
  readonly kind: SamplerKind;
  /**
   * `steps` values, falling: the time given to the model and to the rank schedule at step i. Fractional for Euler with
   * Karras levels.
   */
  readonly timesteps: Float64Array;
  /** `steps` + 1 noise levels; entry i belongs to step i, the last one to the result. */
  readonly sigmas: Float64Array;
  readonly initNoiseSigma: number;
  /** May return `x` itself when there is nothing to scale. */
  scaleModelInput(x: Float32Array, i: number): Float32Array;
  /**
   * `modelOutput` is the guided prediction (noise or velocity). A multistep solver must be called for i = 0, 1, 2, …
   * in turn; i = 0 starts anew.
   */
  step(modelOutput: Float32Array, i: number, x: Float32Array): Float32Array;
}

/** a·x + b·y in float64, rounded once. */
export function mix(a: number, x: Float32Array, b: number, y: Float32Array): Float32Array {
  return x.map((value, k) => a * value + b * y[k]!);
}
