// Pictures of many prompts at once, kept in memory: for tables that need thousands of them.
import { availableParallelism } from 'node:os';
import type { Program, TensorArray } from '../addon/surface.js';
import { type GenerationAdapter, loadGenerationAdapter, openGenerationAdapter } from '../generate/adapter.js';
import { predictionGraph } from '../generate/denoiser.js';
import { latentSize, startNoise } from '../generate/pictures.js';
import { generationConditions } from '../generate/prompts.js';
import { guided, samplerFor } from '../generate/sample.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { type OpenModel, openModel } from '../pipeline/openModel.js';
import { decodeGraph } from '../pipeline/pictures.js';
import { type Feeds, loadProgram, openSession, readResult, type Session, writeAll } from '../pipeline/session.js';
import { noiseSchedule } from '../schedulers/noiseSchedule.js';
import type { Sampler } from '../schedulers/sampler.js';
import { SIDE } from '../world/canvas.js';

/** A prompt with the seed of its noise. */
export interface SeededPrompt {
  readonly text: string;
  readonly seed: number;
}

/** Makes pictures with one model, with any adapter. */
export interface PictureMaker {
  /**
   * Pictures [64, 64, 3] in about −1…1, one for each prompt.
   * @param adapter path of an adapter file; null: the model alone
   * @param signal heard between batches of prompts
   */
  make(prompts: readonly SeededPrompt[], adapter: string | null, signal?: AbortSignal): Promise<Float32Array[]>;
  dispose(): void;
}

/** Prompts of one pass of the UNet; each has two rows, without and with its text. */
const BATCH = 8;

interface Maker {
  readonly model: OpenModel;
  readonly session: Session;
  readonly sampler: Sampler;
  readonly guidance: number;
  /** Feeds of a prompt's two rows, by its text. */
  readonly conditions: Map<string, Feeds>;
  contextTokens: number;
}

/** One array after the other. */
function joined(arrays: readonly TensorArray[]): TensorArray {
  const [first] = arrays;
  const out = new (first!.constructor as new (length: number) => TensorArray)(
    arrays.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const array of arrays) {
    out.set(array, at);
    at += array.length;
  }
  return out;
}

async function conditionsOf(maker: Maker, text: string): Promise<Feeds> {
  const known = maker.conditions.get(text);
  if (known) return known;
  const wish = { prompt: text, guidance: maker.guidance, width: SIDE, height: SIDE };
  const { conditions, contextTokens } = await generationConditions(maker.session, maker.model, wish);
  maker.contextTokens = contextTokens;
  maker.conditions.set(text, conditions.feeds);
  return conditions.feeds;
}

/** The feeds of all rows: for each prompt its two. */
async function batchConditions(maker: Maker, texts: readonly string[]): Promise<Feeds> {
  const all: Feeds[] = [];
  for (const text of texts) all.push(await conditionsOf(maker, text));
  const names = Object.keys(all[0]!);
  return Object.fromEntries(names.map((name) => [name, joined(all.map((feeds) => feeds[name]!))]));
}

/** Runs the sampler for the prompts of one batch; the Euler step works value by value, so all pictures take it at once. */
async function sampleBatch(
  { sampler, guidance }: Maker,
  program: Program,
  noise: readonly Float32Array[],
  activeRank: ((t: number) => number) | null,
): Promise<Float32Array[]> {
  const count = noise[0]!.length;
  const rows = 2 * noise.length;
  let x = Float32Array.from(joined(noise), (v) => v * sampler.initNoiseSigma);
  for (const [i, t] of sampler.timesteps.entries()) {
    const scaled = sampler.scaleModelInput(x, i);
    const twice = noise.flatMap((_, p) => Array(2).fill(scaled.subarray(p * count, (p + 1) * count)) as Float32Array[]);
    writeAll(program, {
      sample: joined(twice),
      timesteps: new Float32Array(rows).fill(t),
      ...(activeRank && { activeRank: new Int32Array(rows).fill(activeRank(t)) }),
    });
    await program.run();
    const predictions = readResult(program, 'prediction');
    const all = noise.map((_, p) => guided(predictions.subarray(2 * p * count, 2 * (p + 1) * count), count, guidance));
    x = sampler.step(joined(all) as Float32Array, i, x) as Float32Array<ArrayBuffer>;
  }
  return noise.map((_, p) => x.slice(p * count, (p + 1) * count));
}

async function decodeAll({ model, session }: Maker, latents: readonly Float32Array[]): Promise<Float32Array[]> {
  const { width, height } = latentSize(model, SIDE, SIDE);
  const { scalingFactor } = readAutoencoderConfig(model.vae.config);
  const program = await loadProgram(session, decodeGraph(model.vae, height, width), [model.vae]);
  try {
    const pictures: Float32Array[] = [];
    for (const one of latents) {
      program.write(
        'latents',
        one.map((v) => v / scalingFactor),
      );
      await program.run();
      pictures.push(readResult(program, 'image'));
    }
    return pictures;
  } finally {
    program.dispose();
  }
}

async function openAdapterFor({ model, session }: Maker, T: number, path: string): Promise<GenerationAdapter> {
  const adapter = openGenerationAdapter(model, T, { path, strength: 1, force: false }, () => {});
  await loadGenerationAdapter(session, model.unet, adapter);
  return adapter;
}

/** Latents of all prompts, in batches; those of one size share a program. */
async function sampleAll(
  maker: Maker,
  prompts: readonly SeededPrompt[],
  adapter: GenerationAdapter | null,
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  const { model, session } = maker;
  const { width, height } = latentSize(model, SIDE, SIDE);
  const { inChannels } = readUnetConfig(model.unet.config);
  const programs = new Map<number, Program>();
  const programOf = async (count: number): Promise<Program> => {
    const sizes = { batch: 2 * count, height, width, contextTokens: maker.contextTokens };
    const known = programs.get(count);
    if (known) return known;
    const graph = predictionGraph(model.unet, { ...sizes, adapter: adapter?.sampled });
    const program = await loadProgram(session, graph, [model.unet]);
    programs.set(count, program);
    return program;
  };
  const latents: Float32Array[] = [];
  try {
    for (let at = 0; at < prompts.length; at += BATCH) {
      signal?.throwIfAborted();
      const batch = prompts.slice(at, at + BATCH);
      const texts = batch.map(({ text }) => text);
      const feeds = await batchConditions(maker, texts);
      const program = await programOf(batch.length);
      writeAll(program, feeds);
      const noise = batch.map(({ seed }) => startNoise(seed, height, width, inChannels));
      latents.push(...(await sampleBatch(maker, program, noise, adapter?.activeRank ?? null)));
    }
    return latents;
  } finally {
    for (const program of programs.values()) program.dispose();
  }
}

/**
 * Opens a model of 64 × 64 pictures. Dispose it at the end.
 * @throws FileFormatError, ConfigError, NativeAddonError
 */
export function openPictureMaker(
  dir: string,
  {
    steps = 25,
    guidance = 5,
    threads = availableParallelism(),
  }: { steps?: number | undefined; guidance?: number | undefined; threads?: number | undefined } = {},
): PictureMaker {
  const model = openModel(dir);
  const schedule = noiseSchedule(model.scheduler);
  const sampler = samplerFor(schedule, { sampler: 'euler', steps, karras: false });
  const session = openSession(threads);
  const maker: Maker = { model, session, sampler, guidance, conditions: new Map(), contextTokens: 0 };
  return {
    make: async (prompts, path, signal) => {
      const adapter = path === null ? null : await openAdapterFor(maker, schedule.trainTimesteps, path);
      return decodeAll(maker, await sampleAll(maker, prompts, adapter, signal));
    },
    dispose: () => session.engine.dispose(),
  };
}
