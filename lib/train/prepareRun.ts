import { availableParallelism } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import type { AdapterLayout } from '../adapters/adapterLayout.js';
import { isMasked } from '../adapters/adapterSpec.js';
import { retractFeed } from '../adapters/attachAdapters.js';
import type { RankSchedule } from '../adapters/rankSchedule.js';
import type { Photo } from '../io/image.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { type Conditions, prepareConditions, selectConditions } from '../pipeline/conditions.js';
import { chooseDevice } from '../pipeline/device.js';
import { expectMemory } from '../pipeline/freeMemory.js';
import { type OpenModel, openModel } from '../pipeline/openModel.js';
import { type Feeds, openSession, type Session } from '../pipeline/session.js';
import { encodePrompts } from '../pipeline/textStates.js';
import { type NoiseSchedule, noiseSchedule } from '../schedulers/noiseSchedule.js';
import { setupAdapters } from './adapterSetup.js';
import { type DrawnBatch, drawStep } from './draws.js';
import type { DeviceInfo, MemoryInfo } from './events.js';
import { adaptersOf, stepSizes } from './forecast.js';
import { fillPrompt, type ResolvedTrainOptions } from './options.js';
import {
  encodePhotos,
  latentFeeds,
  loadPhotos,
  photoTimeIds,
  type TrainingLatents,
  trainingResolution,
} from './pictureLatents.js';
import { openRunFolder, type RunFolder } from './runFolder.js';
import { startAdapters } from './startAdapters.js';
import { createTrainer, planStep, type Trainer } from './trainer.js';
import type { RunControl } from './trainingRun.js';

/** Everything a run needs from its first step on. */
export interface PreparedRun {
  readonly options: ResolvedTrainOptions;
  readonly model: OpenModel;
  readonly folder: RunFolder;
  readonly session: Session;
  readonly layout: AdapterLayout;
  readonly ranks: RankSchedule;
  readonly noise: NoiseSchedule;
  readonly side: number;
  readonly device: DeviceInfo;
  readonly trainer: Trainer;
  /** Steps taken before this process. */
  readonly stepsDone: number;
  readonly neededBytes: number;
  draw(step: number): DrawnBatch[];
  /** Latents and conditions of the pictures that a batch shows. */
  pictureFeeds(pictures: readonly number[]): Feeds;
  memory(): MemoryInfo;
  dispose(): void;
}

/** Encodes pictures and prompts with an engine of its own, so that all of its memory is free again afterwards. */
async function encode(
  options: ResolvedTrainOptions,
  model: OpenModel,
  control: RunControl,
  threads: number,
  photos: readonly Photo[],
): Promise<{ latents: TrainingLatents; conditions: Conditions }> {
  control.emit({ type: 'phase', phase: 'encode' });
  const session = openSession(threads);
  const cancel = cancelOnAbort(session, control.signal);
  try {
    const latents = await encodePhotos(session, model.vae, photos);
    session.engine.releaseWeights('vae/');
    const prompts = options.captions ?? photos.map(() => options.prompt);
    const texts = prompts.map((prompt) => fillPrompt(prompt, options.token, options.className));
    const text = await encodePrompts(session, model, texts);
    for (const end of text.truncated) {
      control.emit({
        type: 'warning',
        code: 'PROMPT_TRUNCATED',
        message: `the prompt is too long: '${end}' is left out`,
      });
    }
    return { latents, conditions: await prepareConditions(session, model, text, photos.map(photoTimeIds)) };
  } finally {
    cancel();
    session.engine.dispose();
  }
}

function cancelOnAbort(session: Session, signal: AbortSignal): () => void {
  const cancel = (): void => session.engine.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  return () => signal.removeEventListener('abort', cancel);
}

/** Feeds of a batch; written again only when the pictures that it shows have changed. */
function feedsOfPictures(latents: TrainingLatents, conditions: Conditions): (pictures: readonly number[]) => Feeds {
  let last = '';
  return (pictures) => {
    if (pictures.join() === last) return {};
    last = pictures.join();
    return { ...latentFeeds(latents, pictures), ...selectConditions(conditions, pictures).feeds };
  };
}

/**
 * Opens the model, claims the run folder, forecasts and checks the memory, encodes pictures and prompts, draws or restores the
 * adapters and loads the training step. Events: device, forecast, phases.
 */
export async function prepareRun(options: ResolvedTrainOptions, control: RunControl): Promise<PreparedRun> {
  control.emit({ type: 'phase', phase: 'load' });
  const threads = options.threads ?? availableParallelism();
  const { device, reason } = chooseDevice(options.device, threads);
  control.emit({ type: 'device', device, reason });
  const model = openModel(options.model);
  const side = trainingResolution(model.vae, readUnetConfig(model.unet.config).sampleSize, options.resolution);
  const { layout, notices } = setupAdapters(model.unet, options);
  for (const message of notices) control.emit({ type: 'warning', code: 'NARROW_LAYERS', message });
  const { batch, accumulate, memory } = options;
  const trainerOptions = {
    unet: model.unet,
    sizes: stepSizes(model, side, batch),
    adapters: adaptersOf(layout, options.orthogonal === 'retract'),
    draws: 'drawn' as const,
    accumulate,
    memory,
    optimizer: options,
  };
  const neededBytes = planStep(trainerOptions, threads).forecast.totalBytes;
  expectMemory(
    neededBytes,
    (free) =>
      `Close other programs, give --memory ${free} to recompute instead of keeping, or lower --resolution, --batch or --rank.`,
  );
  control.emit({ type: 'forecast', memory: neededBytes });
  const noise = noiseSchedule(model.scheduler);
  const ranks = { T: noise.trainTimesteps, maxRank: options.rank, minRank: options.minRank, alpha: options.alpha };
  const photos = await loadPhotos(options.images, side);
  const folder = await openRunFolder(options, describe(options, side));
  const { latents, conditions } = await encode(options, model, control, threads, photos);
  const session = openSession(threads);
  const uncancel = cancelOnAbort(session, control.signal);
  const dispose = (): void => {
    uncancel();
    session.engine.dispose();
  };
  try {
    const stepsDone = await startAdapters({ options, model, layout, session, folder, control });
    const trainer = await createTrainer(session, trainerOptions);
    if (options.orthogonal === 'retract') trainer.feedUpdate(retractFeed(layout));
    const run = { seed: options.seed, batch, accumulate, pictures: options.images.length };
    return {
      options,
      model,
      folder,
      session,
      layout,
      ranks,
      noise,
      side,
      device,
      trainer,
      stepsDone,
      neededBytes,
      draw: (step) => drawStep(run, noise, ranks, isMasked(options.variant), step),
      pictureFeeds: feedsOfPictures(latents, conditions),
      memory: () => {
        const { weights, state, arena, io, peak } = session.engine.memory();
        return { used: weights + state + arena + io, peak };
      },
      dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** The settings that `config.json` holds: everything that changes the numbers of a run, and where its inputs lie. */
function describe(options: ResolvedTrainOptions, side: number): Record<string, unknown> {
  const { signal, onStep, onEvent, images, overwrite, resume, outputDir, ...rest } = options;
  const shown = images.map((image) => (image instanceof Uint8Array ? `${image.length} bytes` : pathOf(image)));
  return { ...rest, model: pathOf(options.model), images: shown, resolution: side };
}

function pathOf(source: string | URL): string {
  return source instanceof URL ? source.href : isAbsolute(source) ? source : resolve(source);
}
