import { ConfigError } from '../errors.js';
import type { AutoencoderConfig } from '../models/autoencoderConfig.js';

/** How numbers are kept and multiplied; sums, norms, the loss, adapters and the optimizer are float32 in all of them. */
export type Precision = 'bf16' | 'fp16' | 'tf32' | 'fp32';

/** Type of activations and matrices on a CUDA device. */
export type ComputeType = 'f32' | 'bf16' | 'f16';

const COMPUTE: Readonly<Record<Precision, ComputeType>> = { bf16: 'bf16', fp16: 'f16', tf32: 'f32', fp32: 'f32' };

export function computeType(precision: Precision): ComputeType {
  return COMPUTE[precision];
}

/**
 * The type in which an autoencoder decodes: float32 in the place of float16 unless its config says that its values stay in that range.
 * It encodes in float32 always: that is done once, and a run learns what it gives.
 */
export function decodingType(
  compute: ComputeType | undefined,
  { forceUpcast }: Pick<AutoencoderConfig, 'forceUpcast'>,
): ComputeType | undefined {
  return compute === 'f16' && forceUpcast ? 'f32' : compute;
}

/** Where the autoencoder encodes. */
export function encodingType(compute: ComputeType | undefined): ComputeType | undefined {
  return compute === undefined ? undefined : 'f32';
}

/**
 * The precision on a kind of device: fp32 on the CPU, bf16 by default on CUDA.
 * @param why the CPU is what computes, for the message
 * @throws ConfigError for anything but fp32 on the CPU
 */
export function precisionOn(device: 'cpu' | 'cuda', wish: Precision | undefined, why: string): Precision {
  if (device === 'cuda') return wish ?? 'bf16';
  if (wish === undefined || wish === 'fp32') return 'fp32';
  throw new ConfigError(`precision: expected fp32, the only one of the CPU, got ${wish}`, {
    hint: `What computes is the CPU (${why}): leave --precision out, or use a CUDA device.`,
  });
}
