import { ConfigError } from '../errors.js';
import type { SingularRange } from '../ops/gaussianSingularValues.js';

/** lora: no mask; vanilla: masked LoRA; ortho: orthogonal start, no mask; tlora: both (arXiv 2507.05964). */
export type AdapterVariant = 'lora' | 'vanilla' | 'ortho' | 'tlora';

/** Where an orthogonal start comes from. */
export interface AdapterStart {
  /** A Gaussian matrix of the layer's shape with standard deviation 1/r, or the layer's own weight. */
  readonly from: 'random' | 'weight';
  /** Which of its singular components. */
  readonly which: SingularRange;
  /** Law of random frames: Haar, or what the authors' code draws where a layer is not square. */
  readonly frames: 'haar' | 'reference';
}

/** What the variants with an orthogonal start take unless told otherwise; the others have no use for it. */
export const DEFAULT_START: AdapterStart = { from: 'random', which: 'last', frames: 'haar' };

export interface AdapterSpec {
  readonly variant: AdapterVariant;
  /** Components of each adapter; a narrower layer has fewer. */
  readonly rank: number;
  /** Used by the orthogonal variants only. */
  readonly start: AdapterStart;
  /** init: only the start is orthonormal; retract: QR after each optimizer step. */
  readonly orthogonal: 'init' | 'retract';
}

/** A linear layer of the model, or a 1×1 convolution: its diffusers module path and features. */
export interface LinearShape {
  readonly path: string;
  readonly in: number;
  readonly out: number;
  /** It is a 1×1 convolution, whose weight has two more sides. */
  readonly convolution?: true;
}

/** A linear layer with its adapter's own rank, min(rank, in, out). */
export interface AdaptedLayer extends LinearShape {
  readonly rank: number;
}

/** Whether the number of active components depends on the timestep. */
export function isMasked(variant: AdapterVariant): boolean {
  return variant === 'vanilla' || variant === 'tlora';
}

/** Whether the adapter has diagonal values and subtracts its orthonormal start. */
export function isOrthogonal(variant: AdapterVariant): boolean {
  return variant === 'ortho' || variant === 'tlora';
}

/**
 * Gives every layer its own rank, min(rank, in, out).
 * @returns the layers, and a sentence for the user where a layer is narrower than the rank
 * @throws ConfigError for no layers or a rank that is not a whole number from 1 up
 */
export function adaptedLayers(
  linears: readonly LinearShape[],
  rank: number,
): { layers: AdaptedLayer[]; notices: string[] } {
  if (!Number.isSafeInteger(rank) || rank < 1) {
    throw new ConfigError(`rank: expected a whole number from 1 up, got ${rank}`);
  }
  if (linears.length === 0) throw new ConfigError('expected layers to adapt, got none');
  const layers = linears.map((linear) => ({ ...linear, rank: Math.min(rank, linear.in, linear.out) }));
  const narrow = layers.filter((layer) => layer.rank < rank);
  if (narrow.length === 0) return { layers, notices: [] };
  const ranks = [...new Set(narrow.map((layer) => layer.rank))].sort((a, b) => a - b);
  const which = `${narrow.length} of ${layers.length} layers (such as ${narrow[0]!.path})`;
  return { layers, notices: [`rank ${rank} is more than ${which} can have: there it is ${ranks.join(' or ')}`] };
}
