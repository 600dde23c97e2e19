import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { readJsonObject } from '../io/jsonFile.js';
import { loadTokenizer, type Tokenizer } from '../io/tokenizer.js';
import type { ComputeDevice } from '../pipeline/device.js';
import { openModel } from '../pipeline/openModel.js';
import { openSession, type Session } from '../pipeline/session.js';
import { deriveSeed } from '../random/philox.js';
import { noiseSchedule } from '../schedulers/noiseSchedule.js';
import { openTrainState } from '../train/trainState.js';
import type { CaptionSource } from './captions.js';
import { openWritten, readAveraged, writeComponent, writePipelineFiles } from './exportModel.js';
import { type ModelConfigs, miniConfigs } from './miniModel.js';
import type { PictureSource } from './pictures.js';
import { type ProbeRow, type ProbeSettings, probeStage, readProbe } from './probe.js';
import { runStage, type SliceOptions, type Stage, statePath } from './runStage.js';
import type { PretrainSettings } from './settings.js';
import { textLayout, textStage } from './textStage.js';
import type { TokenizerFiles } from './tokenizerFiles.js';
import { unetLayout } from './unetGraphs.js';
import { unetStage } from './unetStage.js';
import { measureVae, vaeStage } from './vaeStage.js';
import { PREVIEW_PROMPTS, worldCaptions, worldPictures, worldTokenizer } from './worldPictures.js';

/** Everything that makes a model: what it is, how it learns, from what. */
export interface PretrainPlan {
  readonly configs: ModelConfigs;
  readonly settings: PretrainSettings;
  readonly pictures: PictureSource;
  readonly captions: CaptionSource;
  readonly tokenizer: TokenizerFiles;
  readonly prompts: readonly string[];
}

/** The plan of the mini model. @param settings all that may change are the numbers of steps and samples */
export function miniPlan(settings: PretrainSettings): PretrainPlan {
  const tokenizer = worldTokenizer();
  return {
    configs: miniConfigs(tokenizer.vocabularySize),
    settings,
    pictures: worldPictures(deriveSeed(settings.seed, 2)),
    captions: worldCaptions(deriveSeed(settings.seed, 4)),
    tokenizer,
    prompts: PREVIEW_PROMPTS,
  };
}

export interface PretrainOptions extends SliceOptions {
  readonly threads: number;
  /** What computes in float32 (chooseFloat32Device); default the CPU. */
  readonly device?: ComputeDevice | undefined;
}

/** Folder of the model that a run makes. */
export function modelFolderOf(dir: string): string {
  return join(dir, 'model');
}

async function withSession<T>(
  { device, threads }: PretrainOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = openSession(device ?? threads);
  try {
    return await work(session);
  } finally {
    session.engine.dispose();
  }
}

/** Whether all steps of a stage are in its state file. */
function isFinished(dir: string, { name, layout, settings }: Pick<Stage, 'name' | 'layout' | 'settings'>): boolean {
  const path = statePath(dir, name);
  return existsSync(path) && openTrainState(path, layout).step >= settings.steps;
}

/** A slice of the autoencoder's training; at its end the autoencoder is measured and written to the run's model folder. */
export async function pretrainVae(
  plan: PretrainPlan,
  options: PretrainOptions,
): Promise<{ step: number; finished: boolean }> {
  const { configs, settings, pictures } = plan;
  const stage = vaeStage(configs.vae, settings, pictures);
  return withSession(options, async (session) => {
    const done = await runStage(session, stage, options);
    if (!done.finished) return done;
    const measures = await measureVae(session, configs.vae, settings, pictures);
    await writeFileAtomic(join(options.dir, 'vae-measures.json'), `${JSON.stringify(measures, null, 2)}\n`);
    const values = readAveraged(statePath(options.dir, 'vae'), stage.layout);
    const config = { ...configs.vae, scaling_factor: Number(measures.scalingFactor.toPrecision(5)) };
    await writeComponent(modelFolderOf(options.dir), 'vae', config, stage.layout, values);
    return done;
  });
}

/** Writes index, tokenizer and scheduler of the run's model. */
async function openTokenizer({ configs, tokenizer }: PretrainPlan, model: string): Promise<Tokenizer> {
  mkdirSync(model, { recursive: true });
  await writePipelineFiles(model, configs, tokenizer);
  return loadTokenizer(join(model, 'tokenizer'));
}

/** A slice of the training of the text encoder alone, which needs nothing of the other stages. */
export async function pretrainText(
  plan: PretrainPlan,
  options: PretrainOptions,
): Promise<{ step: number; finished: boolean }> {
  const { configs, settings, captions } = plan;
  const tokenizer = await openTokenizer(plan, modelFolderOf(options.dir));
  return withSession(options, (session) =>
    runStage(session, textStage(configs, settings, { tokenizer, captions }), options),
  );
}

/** The averaged text encoder of its finished stage, by the names of its tensors. @throws ConfigError if it is not finished */
function readText({ configs, settings, captions }: PretrainPlan, dir: string): Map<string, Float32Array> {
  const layout = textLayout(configs, captions);
  if (!isFinished(dir, { name: 'text', layout, settings: settings.text })) {
    throw new ConfigError(`[pretrain] expected the finished text encoder in ${dir}, found none`, {
      hint: 'Run --stage text to its end first.',
    });
  }
  const values = readAveraged(statePath(dir, 'text'), layout);
  const own = [...layout.entries].filter(([name]) => name.startsWith('text_encoder/'));
  return new Map(own.map(([name, { offset, count }]) => [name, values.subarray(offset, offset + count)]));
}

/**
 * A slice of the training of UNet and text encoder; at its end the model folder is whole.
 * @throws ConfigError if the autoencoder or the text encoder alone is not finished
 */
export async function pretrainUnet(
  plan: PretrainPlan,
  options: PretrainOptions,
): Promise<{ step: number; finished: boolean }> {
  const { configs, settings, pictures, prompts } = plan;
  const model = modelFolderOf(options.dir);
  if (!existsSync(join(model, 'vae', 'config.json'))) {
    throw new ConfigError(`[pretrain] expected the finished autoencoder in ${model}, found none`, {
      hint: 'Run --stage vae to its end first.',
    });
  }
  const text = readText(plan, options.dir);
  const tokenizer = await openTokenizer(plan, model);
  const stage = unetStage(configs, settings, { vae: openWritten(model, 'vae'), tokenizer, pictures, text, prompts });
  const done = await withSession(options, (session) => runStage(session, stage, options));
  if (isFinished(options.dir, stage)) await exportModel(plan, options.dir, model);
  return done;
}

const PROBE: ProbeSettings = {
  seed: 99,
  steps: 1500,
  learningRate: 2e-3,
  warmUp: 100,
  beta2: 0.99,
  weightDecay: 0.01,
  clip: 1,
  emaDecay: 0.995,
  sizes: { pictures: 32, draws: 4, side: 64 },
  tested: 1024,
};
const PROBE_TIMES = [0, 100, 200, 300, 400, 500, 600, 650, 700, 750, 800, 850, 900, 950, 999];

/**
 * Trains a probe on noisy latents of the finished autoencoder and reads with it what they show at each time; `probe.json` holds the rows.
 * @returns null if the slice ended before the probe was finished
 */
export async function probeSchedule(plan: PretrainPlan, options: PretrainOptions): Promise<ProbeRow[] | null> {
  const vae = openWritten(modelFolderOf(options.dir), 'vae');
  const schedule = noiseSchedule(plan.configs.scheduler);
  return withSession(options, async (session) => {
    const { finished } = await runStage(session, probeStage(vae, schedule, PROBE), options);
    if (!finished) return null;
    const rows = await readProbe(session, vae, schedule, PROBE, PROBE_TIMES);
    await writeFileAtomic(join(options.dir, 'probe.json'), `${JSON.stringify(rows, null, 2)}\n`);
    return rows;
  });
}

/**
 * Writes the model of a run as it stands, in diffusers' layout, and opens it to check it.
 * @param to a folder; the run's own model folder or another
 * @throws FileFormatError, ConfigError, FileWriteError
 */
export async function exportModel(plan: PretrainPlan, dir: string, to: string): Promise<void> {
  const { configs, settings, pictures, tokenizer } = plan;
  const layout = unetLayout(configs);
  const values = readAveraged(statePath(dir, 'unet'), layout);
  const vae = vaeStage(configs.vae, settings, pictures).layout;
  const vaeConfig = readJsonObject(join(modelFolderOf(dir), 'vae', 'config.json'));
  await writeComponent(to, 'vae', vaeConfig, vae, readAveraged(statePath(dir, 'vae'), vae));
  await writeComponent(to, 'unet', configs.unet, layout, values);
  await writeComponent(to, 'text_encoder', configs.text_encoder, layout, values);
  await writePipelineFiles(to, configs, tokenizer);
  openModel(to);
}
