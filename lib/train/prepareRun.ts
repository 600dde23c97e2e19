import { availableParallelism } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { AdapterLayout } from '../adapters/adapterLayout.js';
import { isMasked } from '../adapters/adapterSpec.js';
import { retractFeed } from '../adapters/attachAdapters.js';
import type { RankSchedule } from '../adapters/rankSchedule.js';
import { AbortError, ConfigError } from '../errors.js';
import type { GenerationConditions } from '../generate/prompts.js';
import type { Photo } from '../io/image.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { type Conditions, selectConditions } from '../pipeline/conditions.js';
import { type ComputeDevice, chooseDevice } from '../pipeline/device.js';
import { expectMemory } from '../pipeline/freeMemory.js';
import { type OpenModel, openModel } from '../pipeline/openModel.js';
import type { Precision } from '../pipeline/precision.js';
import type { Feeds, Session } from '../pipeline/session.js';
import { formatBytes } from '../plan/byteSize.js';
import { type NoiseSchedule, noiseSchedule } from '../schedulers/noiseSchedule.js';
import { setupAdapters } from './adapterSetup.js';
import { type Algorithms, NO_ALGORITHMS, readAlgorithms, useAlgorithms } from './algorithms.js';
import { attentionMemory, attentionShare, withAttentionMemory } from './attentionMemory.js';
import { type DrawnBatch, drawStep } from './draws.js';
import { type Encoded, encodeInputs } from './encodeInputs.js';
import type { DeviceInfo, MemoryInfo } from './events.js';
import { adaptersOf, stepSizes } from './forecast.js';
import { imageDigest, modelDigest, tokenizerDigest } from './inputDigest.js';
import type { ResolvedTrainOptions } from './options.js';
import { planRun } from './phaseMemory.js';
import {
  enlargedNotices,
  latentFeeds,
  loadPhotos,
  type TrainingLatents,
  trainingResolution,
} from './pictureLatents.js';
import { checkRunFolder, claimRunFolder, type RunFolder, rewindLog, runFolder } from './runFolder.js';
import { openRunSession, type RunSession } from './runSession.js';
import { startAdapters } from './startAdapters.js';
import { recordingOf } from './stepRecord.js';
import { createTrainer, type Trainer, type TrainerOptions } from './trainer.js';
import type { RunControl } from './trainingRun.js';
import { openTrainState, type SavedState } from './trainState.js';

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
  readonly precision: Precision;
  readonly trainer: Trainer;
  /** Those that a CUDA device's libraries chose so far. */
  algorithms(): Algorithms;
  /** Steps taken before this process; null in a new run, of which nothing is saved yet. */
  readonly stepsBefore: number | null;
  readonly neededBytes: number;
  /** Of the prompts of `sample`, in their order. */
  readonly sampleConditions: readonly GenerationConditions[];
  /** Of the prompt of `watch`; null: no pictures are watched. */
  readonly watchConditions: GenerationConditions | null;
  readonly latents: TrainingLatents;
  draw(step: number): DrawnBatch[];
  /** Latents and conditions of the pictures that a batch shows. */
  pictureFeeds(pictures: readonly number[]): Feeds;
  memory(): MemoryInfo;
  dispose(): void;
}

/** Feeds of the pictures that a batch shows; the last ones are kept, as most runs have a single picture. */
function feedsOfPictures(latents: TrainingLatents, conditions: Conditions): (pictures: readonly number[]) => Feeds {
  let last: { key: string; feeds: Feeds } | undefined;
  return (pictures) => {
    const key = pictures.join();
    if (last?.key === key) return last.feeds;
    const feeds = { ...latentFeeds(latents, pictures), ...selectConditions(conditions, pictures).feeds };
    last = { key, feeds };
    return feeds;
  };
}

/** All that is known, checked and planned before anything is computed or written. */
interface Outline {
  readonly options: ResolvedTrainOptions;
  readonly control: RunControl;
  readonly model: OpenModel;
  readonly layout: AdapterLayout;
  readonly ranks: RankSchedule;
  readonly noise: NoiseSchedule;
  readonly side: number;
  readonly device: ComputeDevice;
  /** Of an earlier part of the run, if it goes on. */
  readonly algorithms: Algorithms;
  /** What the training's engine takes for attention. */
  readonly attentionBytes: number;
  readonly settings: Record<string, unknown>;
  readonly saved: SavedState | undefined;
  readonly trainerOptions: TrainerOptions;
  readonly planned: ReturnType<typeof planRun>;
}

function outline(options: ResolvedTrainOptions, control: RunControl): Outline {
  const threads = options.threads ?? availableParallelism();
  const device = chooseDevice(options.device, { ...options, threads });
  const { info, reason, precision, lacking } = device;
  control.emit({ type: 'device', device: info, reason, precision });
  if (lacking) control.emit({ type: 'warning', code: 'LIBRARY_MISSING', message: lacking });
  const model = openModel(options.model, options.config);
  const side = trainingResolution(model.vae, readUnetConfig(model.unet.config).sampleSize, options.resolution);
  const { layout, notices } = setupAdapters(model.unet, options);
  warn(options, notices, control);
  const settings = describe(options, model, side, precision);
  const saved = savedState(options, settings, layout);
  const step = stepSizes(model, side, options.batch, device.compute);
  const trainerOptions: TrainerOptions = {
    unet: model.unet,
    sizes: step,
    adapters: adaptersOf(layout, options.orthogonal === 'retract'),
    draws: 'drawn',
    accumulate: options.accumulate,
    memory: options.memory,
    optimizer: options,
    record: recordingOf(device, options.batch * options.accumulate),
  };
  const phases = {
    ...{ model, layout, step, side, device },
    prompts: options.images.length,
    samples: !!options.sample,
    watch: options.watch ? { pictures: options.watch.samples > 0 } : null,
  };
  const small = planRun(trainerOptions, phases);
  const free = expectMemory(
    device,
    small.neededBytes,
    (free) =>
      `Close other programs, give --memory ${free} to recompute instead of keeping, or lower --resolution, --batch or --rank.`,
  );
  const algorithms = options.resume ? readAlgorithms(runFolder(options.outputDir)) : NO_ALGORITHMS;
  const attentionBytes = attentionOf({ options, control, device, planned: small, algorithms }, free);
  const planned = { ...small, neededBytes: small.neededBytes + attentionBytes };
  control.emit({ type: 'forecast', memory: planned.neededBytes });
  const noise = noiseSchedule(model.scheduler);
  const ranks = { T: noise.trainTimesteps, maxRank: options.rank, minRank: options.minRank, alpha: options.alpha };
  const known = { options, control, model, layout, ranks, noise, side, device, algorithms, attentionBytes };
  return { ...known, settings, saved, trainerOptions, planned };
}

/** What the training may take for attention: in a run that goes on as much as before, as other algorithms give other bits. */
function attentionOf(
  {
    options: { memory, resume, deterministic },
    control,
    device,
    planned: { graph, neededBytes: needed },
    algorithms,
  }: Pick<Outline, 'options' | 'control' | 'device' | 'planned' | 'algorithms'>,
  free: number,
): number {
  if (device.info.kind === 'cpu' || deterministic) return 0;
  const wanted = resume ? algorithms.attentionBytes : attentionMemory(graph);
  const share = attentionShare(wanted, { needed, free, memory });
  if (resume && share < wanted) {
    const message = `the steps from here on may differ in their last bits: ${formatBytes(wanted)} for attention are no longer free`;
    control.emit({ type: 'warning', code: 'ALGORITHMS_CHANGED', message });
  }
  return share;
}

function warn(options: ResolvedTrainOptions, notices: readonly string[], control: RunControl): void {
  for (const message of notices) control.emit({ type: 'warning', code: 'NARROW_LAYERS', message });
  if (!isMasked(options.variant) || options.minRank < options.rank) return;
  const message = `the least rank is the rank, ${options.rank}: the mask of '${options.variant}' has no effect`;
  control.emit({ type: 'warning', code: 'MASK_INACTIVE', message });
}

/** The state to go on with, once folder and settings allow it. */
function savedState(
  options: ResolvedTrainOptions,
  settings: Record<string, unknown>,
  layout: AdapterLayout,
): SavedState | undefined {
  const folder = checkRunFolder(options, settings);
  if (!options.resume) return undefined;
  const saved = openTrainState(folder.statePath, layout.flat);
  if (saved.step < options.steps) return saved;
  throw new ConfigError(
    `steps: expected more than the ${saved.step} steps that this run has taken, got ${options.steps}`,
    { hint: 'Give more --steps to go on.' },
  );
}

/**
 * Opens the model, checks the run folder, forecasts and checks the memory, encodes pictures and prompts, draws or restores the
 * adapters and loads the training step; only then is the run folder claimed and an earlier run in it removed. Events: device,
 * forecast, warnings, phases.
 */
export async function prepareRun(options: ResolvedTrainOptions, control: RunControl): Promise<PreparedRun> {
  control.emit({ type: 'phase', phase: 'load' });
  await turn();
  const known = outline(options, control);
  const photos = await loadPhotos(options.images, known.side);
  for (const message of enlargedNotices(options.images, photos))
    control.emit({ type: 'warning', code: 'PICTURE_ENLARGED', message });
  expectNoAbort(control);
  const encoded = await encodeInputs({ ...known, photos });
  const runSession = openRunSession(withAttentionMemory(known.device, known.attentionBytes), control);
  try {
    useAlgorithms(runSession.session, known.algorithms.train, control);
    return await startRun(known, encoded, runSession, photos);
  } catch (error) {
    runSession.close();
    throw error;
  }
}

function expectNoAbort({ signal }: RunControl): void {
  if (signal.aborted) throw new AbortError(signal.reason);
}

async function startRun(
  known: Outline,
  encoded: Encoded,
  { session, close }: RunSession,
  photos: readonly Photo[],
): Promise<PreparedRun> {
  const { options, control, layout, noise, ranks, saved, settings, trainerOptions, planned } = known;
  await startAdapters({ ...known, session });
  const trainer = await createTrainer(session, trainerOptions, planned);
  if (saved) trainer.queue?.reset(saved.lossScale, saved.step);
  if (options.orthogonal === 'retract') trainer.feedUpdate(retractFeed(layout));
  expectNoAbort(control);
  const folder = await claimRunFolder(options, settings);
  if (saved) await rewindLog(folder, saved.step);
  const { seed, batch, accumulate } = options;
  const run = { seed, batch, accumulate, pictures: photos.length };
  return {
    ...known,
    device: known.device.info,
    precision: known.device.precision,
    algorithms: () => ({
      encode: encoded.algorithms,
      train: session.engine.choices(),
      attentionBytes: known.attentionBytes,
    }),
    folder,
    session,
    trainer,
    stepsBefore: saved?.step ?? null,
    neededBytes: planned.neededBytes,
    sampleConditions: encoded.sampleConditions,
    watchConditions: encoded.watchConditions,
    latents: encoded.latents,
    draw: (step) => drawStep(run, noise, ranks, isMasked(options.variant), step),
    pictureFeeds: feedsOfPictures(encoded.latents, encoded.conditions),
    memory: () => {
      const { weights, state, arena, io, workspace, peak } = session.engine.memory();
      return { used: weights + state + arena + io + workspace, peak: Math.max(peak, encoded.peakBytes) };
    },
    dispose: close,
  };
}

/** The settings that `config.json` holds: everything that changes the numbers of a run, and where its inputs lie. */
function describe(
  options: ResolvedTrainOptions,
  model: OpenModel,
  side: number,
  precision: Precision,
): Record<string, unknown> {
  const { signal, onStep, onEvent, images, overwrite, resume, outputDir, config, ...rest } = options;
  const imageDigests = images.map(imageDigest);
  const shown = images.map((image, i) => (image instanceof Uint8Array ? `sha256:${imageDigests[i]}` : pathOf(image)));
  const digests = { modelDigest: modelDigest(model), tokenizerDigest: tokenizerDigest(model), imageDigests };
  const files = { model: pathOf(options.model), ...(config === undefined ? {} : { config: pathOf(config) }) };
  return { ...rest, ...files, images: shown, ...digests, resolution: side, precision };
}

function pathOf(source: string | URL): string {
  return source instanceof URL ? source.href : isAbsolute(source) ? source : resolve(source);
}
