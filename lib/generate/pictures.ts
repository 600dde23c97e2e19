import { signedToPixels } from '../io/image.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { readUnetConfig } from '../models/unetConfig.js';
import type { OpenModel } from '../pipeline/openModel.js';
import { decodeLatents } from '../pipeline/pictures.js';
import { releaseComponent, type Session } from '../pipeline/session.js';
import { standardNormals } from '../random/philox.js';
import type { Sampler } from '../schedulers/sampler.js';
import { createDenoiser, type SampledAdapter } from './denoiser.js';
import type { GenerationConditions } from './prompts.js';
import { abortable, sampleLatents } from './sample.js';

/** Pictures under one prompt: one for each seed. */
export interface Drawing {
  readonly model: OpenModel;
  readonly conditions: GenerationConditions;
  /** Its values lie in the session's state buffers `params` and `base`. */
  readonly adapter?: SampledAdapter | undefined;
  /** Components in use at a timestep. */
  readonly activeRank: (t: number) => number;
  readonly sampler: Sampler;
  readonly guidance: number;
  /** In pixels; multiples of the autoencoder's factor. */
  readonly width: number;
  readonly height: number;
  readonly seeds: readonly number[];
  readonly signal?: AbortSignal | undefined;
  /** After each step: the picture from 0, the step from 1. */
  readonly onStep?: ((picture: number, step: number) => void) | undefined;
}

/** Latents of a picture of `width` × `height` pixels. */
export function latentSize(model: OpenModel, width: number, height: number): { width: number; height: number } {
  const { downscale } = readAutoencoderConfig(model.vae.config);
  return { width: width / downscale, height: height / downscale };
}

/**
 * The noise that a seed stands for: standard normals of Philox stream 0 in the order [h, w, c]. Kept for all versions: the same seed and settings
 * give the same picture.
 */
export function startNoise(seed: number, height: number, width: number, channels: number): Float32Array {
  return standardNormals(seed, 0, height * width * channels);
}

/** Samples all pictures of a drawing. @returns latents [h, w, c] of each. @throws AbortError */
export async function drawLatents(session: Session, drawing: Drawing): Promise<Float32Array[]> {
  const { model, conditions, adapter, seeds, onStep } = drawing;
  const { width, height } = latentSize(model, drawing.width, drawing.height);
  const { inChannels } = readUnetConfig(model.unet.config);
  const options = { unet: model.unet, ...conditions, adapter, width, height };
  const denoiser = await abortable(session, drawing.signal, () => createDenoiser(session, options));
  try {
    const all: Float32Array[] = [];
    for (const [picture, seed] of seeds.entries()) {
      const noise = startNoise(seed, height, width, inChannels);
      const step = (done: number): void => onStep?.(picture, done);
      all.push(await sampleLatents(session, { ...drawing, denoiser, noise, onStep: step }));
    }
    return all;
  } finally {
    denoiser.dispose();
  }
}

/**
 * Decodes one picture after the other, then frees the autoencoder.
 * @param size of the pictures, in pixels
 * @returns RGB pixels [height, width, 3] of each
 * @throws AbortError
 */
export async function decodePictures(
  session: Session,
  model: OpenModel,
  latents: readonly Float32Array[],
  size: { width: number; height: number },
  signal?: AbortSignal,
): Promise<Uint8Array[]> {
  const { width, height } = latentSize(model, size.width, size.height);
  const pictures: Uint8Array[] = [];
  for (const one of latents) {
    const decoded = await abortable(session, signal, () => decodeLatents(session, model.vae, one, height, width));
    pictures.push(signedToPixels(decoded.image));
  }
  releaseComponent(session, model.vae);
  return pictures;
}
