import { availableParallelism } from 'node:os';
import { AbortError, ConfigError } from '../errors.js';
import { makeFolder } from '../io/outputFolder.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { keepAlgorithms } from '../pipeline/algorithmCache.js';
import { type ComputeDevice, chooseDevice, type DeviceInfo } from '../pipeline/device.js';
import { type OpenModel, openModel } from '../pipeline/openModel.js';
import type { Precision } from '../pipeline/precision.js';
import { openSession, type Session } from '../pipeline/session.js';
import { tellUnrecorded } from '../pipeline/unrecorded.js';
import { noiseSchedule } from '../schedulers/noiseSchedule.js';
import type { Sampler } from '../schedulers/sampler.js';
import {
  fillSubject,
  type GenerationAdapter,
  loadGenerationAdapter,
  openGenerationAdapter,
  textAdapters,
} from './adapter.js';
import { adapterPath } from './adapterPath.js';
import { expectGenerationMemory } from './memory.js';
import { type GenerateOptions, type ResolvedGenerateOptions, resolveGenerateOptions } from './options.js';
import { savePicture } from './pictureFile.js';
import { decodePictures, drawLatents } from './pictures.js';
import { generationConditions, type PictureWish } from './prompts.js';
import { abortable, samplerFor } from './sample.js';

export interface GeneratedPicture {
  readonly path: string;
  readonly seed: number;
}

export interface GenerateResult {
  readonly pictures: readonly GeneratedPicture[];
  readonly device: DeviceInfo;
  readonly precision: Precision;
  readonly durationMs: number;
}

/** All that is known before anything is computed. */
interface Generation {
  readonly options: ResolvedGenerateOptions;
  readonly model: OpenModel;
  readonly adapter: GenerationAdapter | undefined;
  readonly sampler: Sampler;
  readonly wish: PictureWish;
  readonly seeds: readonly number[];
  readonly device: ComputeDevice;
}

/**
 * Makes pictures with a model and an adapter, and saves them as PNG files. Text encoders, UNet and autoencoder are in memory one after the other.
 * @throws (by rejecting) ConfigError, FileFormatError, FileWriteError, DeviceError, OutOfMemoryError, NativeAddonError; AbortError after
 * the signal
 */
export async function generate(given: GenerateOptions): Promise<GenerateResult> {
  const begun = performance.now();
  const options = resolveGenerateOptions(given);
  if (options.signal?.aborted) throw new AbortError(options.signal.reason);
  const emit = options.onEvent ?? (() => {});
  const threads = options.threads ?? availableParallelism();
  const device = chooseDevice(options.device, { ...options, threads });
  const { info, reason, precision, lacking } = device;
  emit({ type: 'device', device: info, reason, precision });
  if (lacking) emit({ type: 'warning', code: 'LIBRARY_MISSING', message: lacking });
  emit({ type: 'phase', phase: 'load' });
  const generation = prepare(options, device);
  expectGenerationMemory(generation.model, { ...generation.wish, ...generation, memory: options.memory });
  makeFolder(options.outputDir); // before hours of work whose pictures could not be written
  const latents = await sampleAll(generation);
  const pictures = await decodeAll(generation, latents);
  return { pictures, device: info, precision, durationMs: performance.now() - begun };
}

function prepare(options: ResolvedGenerateOptions, device: ComputeDevice): Generation {
  const model = openModel(options.model, options.config);
  const schedule = noiseSchedule(model.scheduler);
  const sampler = samplerFor(schedule, options);
  const { adapter: path, strength, force, unetOnly, components, onEvent, prompt, negativePrompt } = options;
  const adapterWish = { strength, force, unetOnly, components };
  const adapter =
    path === undefined
      ? undefined
      : openGenerationAdapter(
          model,
          schedule.trainTimesteps,
          { path: adapterPath(path), ...adapterWish },
          onEvent ?? (() => {}),
        );
  const wish = {
    prompt: fillSubject('prompt', prompt, adapter),
    negativePrompt: negativePrompt === undefined ? undefined : fillSubject('negativePrompt', negativePrompt, adapter),
    guidance: options.guidance,
    ...pictureSize(options, model, adapter),
  };
  const seeds = Array.from({ length: options.count }, (_, i) => options.seed + i);
  return { options, model, adapter, sampler, wish, seeds, device };
}

/** As asked for, else as the adapter was trained, else the model's own. */
function pictureSize(
  { size }: ResolvedGenerateOptions,
  model: OpenModel,
  adapter: GenerationAdapter | undefined,
): { width: number; height: number } {
  const { downscale } = readAutoencoderConfig(model.vae.config);
  const side = adapter?.resolution ?? (readUnetConfig(model.unet.config).sampleSize ?? 64) * downscale;
  const { width, height } = size ?? { width: side, height: side };
  if (width % downscale === 0 && height % downscale === 0) return { width, height };
  throw new ConfigError(`size: expected multiples of ${downscale} for this model, got ${width}×${height}`);
}

/** Runs `body` with an engine of its own, whose memory is all free again afterwards. */
async function withSession<T>(
  { device, options: { onEvent } }: Pick<Generation, 'device' | 'options'>,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  const warn = (code: string, message: string): void => onEvent?.({ type: 'warning', code, message });
  const cacheWarning = (message: string): void => warn('ALGORITHM_CACHE', message);
  const opened = openSession(device, cacheWarning);
  const session = { ...opened, engine: tellUnrecorded(opened.engine, warn) };
  try {
    const value = await body(session);
    await keepAlgorithms(session, cacheWarning);
    return value;
  } finally {
    session.engine.dispose();
  }
}

async function sampleAll(generation: Generation): Promise<Float32Array[]> {
  const { options, model, adapter, wish, seeds } = generation;
  const { signal, onEvent } = options;
  onEvent?.({ type: 'phase', phase: 'encode' });
  const conditions = await withSession(generation, (session) =>
    abortable(session, signal, () => generationConditions(session, model, wish, adapter && textAdapters(adapter))),
  );
  for (const end of conditions.truncated) {
    const message = `a prompt is too long: '${end}' is left out`;
    onEvent?.({ type: 'warning', code: 'PROMPT_TRUNCATED', message });
  }
  onEvent?.({ type: 'phase', phase: 'sample' });
  return withSession(generation, async (session) => {
    if (adapter) await abortable(session, signal, () => loadGenerationAdapter(session, model.unet, adapter));
    return drawLatents(session, {
      ...generation,
      ...wish,
      conditions,
      seeds,
      adapter: adapter?.sampled,
      activeRank: adapter?.activeRank ?? (() => 0),
      signal,
      onStep: stepReporter(generation),
    });
  });
}

/** Tells each step with its time and the time that all others will take. */
function stepReporter({ options: { onEvent }, sampler, seeds }: Generation): (picture: number, step: number) => void {
  const steps = sampler.timesteps.length;
  const begun = performance.now();
  let last = begun;
  return (picture, step) => {
    const now = performance.now();
    const done = picture * steps + step;
    const etaMs = ((now - begun) / done) * (steps * seeds.length - done);
    onEvent?.({ type: 'step', picture, pictures: seeds.length, step, steps, stepMs: now - last, etaMs });
    last = now;
  };
}

async function decodeAll(generation: Generation, latents: readonly Float32Array[]): Promise<GeneratedPicture[]> {
  const { options, model, wish, seeds } = generation;
  const { signal, onEvent, outputDir } = options;
  onEvent?.({ type: 'phase', phase: 'decode' });
  const decoded = await withSession(generation, (session) => decodePictures(session, model, latents, wish, signal));
  onEvent?.({ type: 'phase', phase: 'save' });
  const pictures: GeneratedPicture[] = [];
  for (const [picture, pixels] of decoded.entries()) {
    const seed = seeds[picture]!;
    const path = await savePicture(outputDir, pixels, { ...describe(generation), seed });
    pictures.push({ path, seed });
    onEvent?.({ type: 'picture', picture, path });
  }
  return pictures;
}

/** Everything that a picture depends on, besides its seed. */
function describe({ options, wish, sampler, adapter }: Generation): PictureWish & Record<string, unknown> {
  const { model, config, steps, karras, strength, unetOnly, components } = options;
  const used = adapter && {
    adapter: adapter.file.path,
    strength,
    ...(unetOnly && { unetOnly }),
    ...(components !== undefined && { components }),
  };
  return { ...wish, model, ...(config !== undefined && { config }), ...used, sampler: sampler.kind, steps, karras };
}
