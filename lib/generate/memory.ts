import { OutOfMemoryError } from '../errors.js';
import type { ComputeDevice } from '../pipeline/device.js';
import { expectMemory } from '../pipeline/freeMemory.js';
import type { OpenModel } from '../pipeline/openModel.js';
import { decodeGraph } from '../pipeline/pictures.js';
import { textEncoderConfig } from '../pipeline/textStates.js';
import { formatBytes } from '../plan/byteSize.js';
import { makePlan } from '../plan/makePlan.js';
import { memoryForecast } from '../plan/memoryBudget.js';
import type { GenerationAdapter } from './adapter.js';
import { predictionGraph } from './denoiser.js';
import { latentSize } from './pictures.js';

export interface GenerationSizes {
  readonly width: number;
  readonly height: number;
  readonly guidance: number;
  readonly adapter: GenerationAdapter | undefined;
  readonly device: ComputeDevice;
  /** Everything that may be allocated, in bytes. */
  readonly memory: number | undefined;
}

/** Bytes that sampling and decoding need: the larger, as one follows the other. */
export function generationBytes(model: OpenModel, sizes: Omit<GenerationSizes, 'memory'>): number {
  const { adapter, guidance, device } = sizes;
  const { compute, target } = device;
  const { height, width } = latentSize(model, sizes.width, sizes.height);
  const contextTokens = textEncoderConfig(model.textEncoder).maxPositions;
  const batch = guidance === 1 ? 1 : 2;
  const unet = predictionGraph(model.unet, { batch, height, width, contextTokens, compute, adapter: adapter?.sampled });
  const graphs = [unet, decodeGraph(model.vae, height, width, compute)];
  return Math.max(...graphs.map((graph) => memoryForecast(makePlan(graph, target)).totalBytes));
}

/**
 * Checks, before anything is allocated, that there is memory enough.
 * @throws OutOfMemoryError that says how much is needed
 */
export function expectGenerationMemory(model: OpenModel, { memory, ...sizes }: GenerationSizes): void {
  const needed = generationBytes(model, sizes);
  if (memory !== undefined && needed > memory) {
    throw new OutOfMemoryError(`memory: expected at least ${formatBytes(needed)}, got ${formatBytes(memory)}`, {
      hint: `Allow --memory ${formatBytes(needed)}, or lower --size.`,
    });
  }
  expectMemory(sizes.device, needed, () => 'Close other programs, or lower --size.');
}
