// The overfit meter: what a run has learnt and what it copies, with noise that is the same at every step.
import { isMasked } from '../adapters/adapterSpec.js';
import { activeRank } from '../adapters/rankSchedule.js';
import type { Program } from '../addon/surface.js';
import { drawLatents } from '../generate/pictures.js';
import { samplerFor } from '../generate/sample.js';
import { loadProgram, readResult, writeAll } from '../pipeline/session.js';
import { deriveSeed } from '../random/philox.js';
import { SEED_USES, streamKeys, timeFeeds } from './draws.js';
import { adaptersOf, stepSizes } from './forecast.js';
import type { PreparedRun } from './prepareRun.js';
import { type LoggedWatch, readRunLog, type WatchSettings } from './runLog.js';
import { SAMPLE_GUIDANCE } from './samples.js';
import { saveBest } from './saveRun.js';
import { stepGraph } from './stepGraph.js';
import type { RunControl } from './trainingRun.js';
import {
  commonSquare,
  type PictureError,
  WATCH_BANDS,
  type WatchFigures,
  type WatchRecord,
  type WatchVerdict,
  watchedDraws,
  watchRecord,
  watchVerdict,
} from './watchFigures.js';

/** Fewer steps than for pictures that are looked at: distances settle early. */
const WATCH_SAMPLING = { sampler: 'euler', steps: 12, karras: false } as const;

/** Thrown within figures that are not to be finished. */
class WatchStopped extends Error {}

/** Whether a step is watched: every so many, and the last. */
function isWatched({ options }: PreparedRun, step: number): boolean {
  return step > 0 && (step % options.watch!.every === 0 || step === options.steps);
}

type RankAt = (t: number) => number;

const NO_ADAPTERS: RankAt = () => 0;

function ranksOf({ options, ranks }: PreparedRun): RankAt {
  return (t) => (isMasked(options.variant) ? activeRank(ranks, t) : ranks.maxRank);
}

interface Meter {
  readonly run: PreparedRun;
  readonly control: RunControl;
  readonly program: Program;
  readonly settings: WatchSettings;
}

function expectGoingOn({ control }: Meter): void {
  control.signal.throwIfAborted();
  if (control.stopRequested) throw new WatchStopped();
}

/** Mean squared error of each band, and what predictions from most noise miss alike; one draw after the other. */
async function fixedNoiseFigures(meter: Meter, rankAt: RankAt): Promise<Pick<WatchFigures, 'losses' | 'unknown'>> {
  const { run, program, settings, control } = meter;
  const seed = deriveSeed(run.options.seed, SEED_USES.watch);
  const draws = watchedDraws(run.noise.trainTimesteps, settings.draws, run.latents.mean.length);
  const losses: number[][] = Array.from({ length: WATCH_BANDS }, () => []);
  const errors: PictureError[] = [];
  for (const [i, { band, t, picture }] of draws.entries()) {
    expectGoingOn(meter);
    control.emit({ type: 'phase', phase: 'watch', done: i, total: draws.length });
    writeAll(program, {
      ...run.pictureFeeds([picture]),
      ...timeFeeds(run.noise, [t], [rankAt(t)]),
      latentKey: streamKeys(seed, 2 * i, 1),
      noiseKey: streamKeys(seed, 2 * i + 1, 1),
    });
    await program.run();
    losses[band]!.push(readResult(program, 'loss')[0]!);
    if (band === WATCH_BANDS - 1) errors.push({ picture, values: readResult(program, 'residual') });
  }
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { losses: losses.map(mean), unknown: commonSquare(errors) };
}

/** Root of the mean squared difference. */
function distance(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0) / a.length);
}

/** Mean distance of pictures of the watched prompt to the nearest training picture, in latents. */
async function pictureDistance(meter: Meter, rankAt: RankAt): Promise<number | null> {
  const { run, control, settings } = meter;
  if (run.watchConditions === null) return null;
  const seed = deriveSeed(run.options.seed, SEED_USES.watchPictures);
  const pictures = await drawLatents(run.session, {
    model: run.model,
    conditions: run.watchConditions,
    guidance: SAMPLE_GUIDANCE,
    adapter: { layout: run.layout, strength: 1 },
    activeRank: rankAt,
    sampler: samplerFor(run.noise, WATCH_SAMPLING),
    ...{ width: run.side, height: run.side },
    seeds: Array.from({ length: settings.samples }, (_, i) => deriveSeed(seed, i)),
    signal: control.signal,
    onStep: () => expectGoingOn(meter),
  });
  const nearest = pictures.map((one) => Math.min(...run.latents.mean.map((training) => distance(one, training))));
  return nearest.reduce((sum, value) => sum + value, 0) / nearest.length;
}

async function figures(meter: Meter, rankAt: RankAt): Promise<WatchFigures> {
  return { ...(await fixedNoiseFigures(meter, rankAt)), distance: await pictureDistance(meter, rankAt) };
}

/** Watches a run. */
export interface Watch {
  /** Takes the figures of a step that is to be watched, and keeps the checkpoint if it is the best so far. @returns whether it was kept */
  after(step: number): Promise<boolean>;
  readonly verdict: WatchVerdict;
}

async function openMeter(run: PreparedRun, control: RunControl): Promise<Meter> {
  const { model, layout, side, session, options } = run;
  const sizes = stepSizes(model, side, 1, session.compute);
  const adapters = adaptersOf(layout, false);
  const graph = stepGraph({ unet: model.unet, sizes, adapters, draws: 'drawn', until: 'loss' });
  const { draws, samples, prompt } = options.watch!;
  return {
    run,
    control,
    program: await loadProgram(session, graph, [model.unet]),
    settings: { draws, samples, prompt: samples === 0 ? '' : prompt },
  };
}

/**
 * Makes a run's watch ready: takes the figures of the model without adapters, or those of an earlier part of the run from its log, and
 * makes up for the figures of the last finished step if these were left out. null: the run watches nothing.
 */
export async function openWatch(run: PreparedRun, control: RunControl): Promise<Watch | null> {
  if (!run.options.watch) return null;
  const meter = await openMeter(run, control);
  const earlier = comparable(meter);
  let without = earlier.find(({ step }) => step === 0)?.watch;
  const records: WatchRecord[] = earlier.flatMap(({ step, watch }) =>
    step > 0 && without ? [watchRecord(step, watch, without)] : [],
  );
  const take = async (step: number): Promise<boolean> => {
    const rankAt = step === 0 ? NO_ADAPTERS : ranksOf(run);
    const watch = { ...(await figures(meter, rankAt)), settings: meter.settings };
    if (step === 0) without = watch;
    else records.push(watchRecord(step, watch, without!));
    const kept = step > 0 && watchVerdict(records).best === step;
    if (kept) await saveBest(run, step, control.signal);
    control.signal.throwIfAborted();
    run.folder.log({ step, watch } satisfies LoggedWatch);
    if (step > 0) tell(control, records, kept ? run.folder.bestPath : null);
    return kept;
  };
  const after = (step: number): Promise<boolean> => unlessStopped(() => take(step));
  if (!without) await after(0);
  const last = run.stepsBefore ?? 0;
  if (isWatched(run, last) && !records.some(({ step }) => step === last)) await after(last);
  return {
    after: async (step) => {
      if (!without || !isWatched(run, step)) return false;
      return after(step);
    },
    get verdict() {
      return watchVerdict(records);
    },
  };
}

/** Lines of the run's log that were taken as this run takes them. */
function comparable({ run, settings }: Meter): readonly LoggedWatch[] {
  if (run.stepsBefore === null) return [];
  const own = JSON.stringify(settings);
  return readRunLog(run.folder.logPath).watches.filter(({ watch }) => JSON.stringify(watch.settings) === own);
}

/** A run that is to stop leaves figures out; they are made up for when it goes on. */
async function unlessStopped(work: () => Promise<boolean>): Promise<boolean> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof WatchStopped) return false;
    throw error;
  }
}

function tell(control: RunControl, records: readonly WatchRecord[], bestPath: string | null): void {
  const record = records.at(-1)!;
  const { copyingFrom } = watchVerdict(records);
  control.emit({ type: 'watch', ...record, copyingFrom, bestPath });
}
