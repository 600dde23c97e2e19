import { resolve } from 'node:path';

import { keepAlgorithms } from '../pipeline/algorithmCache.js';
import { cacheWarning } from './algorithms.js';
import type { DeviceInfo } from './events.js';
import { type ResolvedTrainOptions, resolveTrainOptions, type TrainOptions } from './options.js';
import { type PreparedRun, prepareRun } from './prepareRun.js';
import { samplePictures } from './samples.js';
import { saveRun } from './saveRun.js';
import { blockEnd, type LastStep, median, takeBlock, takeStep } from './steps.js';
import { type RunControl, startRun, type TrainingRun } from './trainingRun.js';
import { openWatch, type Watch } from './watch.js';

/** What the overfit meter says at the end. */
export interface WatchSummary {
  /** The best checkpoint; null if nothing was watched before the end. */
  readonly best: { readonly step: number; readonly path: string } | null;
  /** First watched step at which the run copies its picture; null: it does not. */
  readonly copyingFrom: number | null;
}

/** What a finished or stopped run gives. */
export interface TrainResult {
  readonly adapterPath: string;
  /** Steps finished, those before a resume included. */
  readonly steps: number;
  readonly stopReason: 'completed' | 'stopped';
  /** Loss of the last step; NaN if the run was stopped before its first. */
  readonly finalLoss: number;
  readonly device: DeviceInfo;
  readonly durationMs: number;
  /** null: the run was not watched. */
  readonly watch: WatchSummary | null;
  readonly config: ResolvedTrainOptions;
}

/** Steps after which the speed is known well enough to say how long the rest will take. */
const STEPS_TO_FORECAST = 3;

/**
 * Trains an adapter on one or a few pictures. Returns at once; bad options, files and pictures reject the run.
 *
 * Await it for its result, iterate it for its events, `stop()` it to finish the step and save, `abort()` it to leave at once.
 * @throws (by rejecting) ConfigError, FileFormatError, FileWriteError, NativeAddonError, OutOfMemoryError, NonFiniteError, AbortError
 */
export function train(options: TrainOptions): TrainingRun<TrainResult> {
  let settled: ResolvedTrainOptions;
  try {
    settled = Object.freeze(resolveTrainOptions(options));
  } catch (error) {
    return startRun(() => Promise.reject(error), { id: '', dir: '' });
  }
  const { outputDir: dir, signal, onStep } = settled;
  const onEvent: RunControl['emit'] = (event) => {
    settled.onEvent?.(event);
    if (event.type === 'step') onStep?.(event);
  };
  return startRun((control) => runTraining(settled, control), { id: resolve(dir), dir, signal, onEvent });
}

async function runTraining(options: ResolvedTrainOptions, control: RunControl): Promise<TrainResult> {
  const begun = performance.now();
  const run = await prepareRun(options, control);
  try {
    const last = await takeSteps(run, control);
    const stopReason = last.step < options.steps ? 'stopped' : 'completed';
    return {
      adapterPath: run.folder.adapterPath,
      steps: last.step,
      stopReason,
      finalLoss: last.loss,
      device: run.device,
      durationMs: performance.now() - begun,
      watch: last.watch,
      config: options,
    };
  } finally {
    // Giving gigabytes back takes the system a while: an abort is answered first.
    if (control.signal.aborted) setImmediate(run.dispose);
    else run.dispose();
  }
}

function summary(run: PreparedRun, watch: Watch | null): WatchSummary | null {
  if (!watch) return null;
  const { best, copyingFrom } = watch.verdict;
  return { best: best === null ? null : { step: best, path: run.folder.bestPath }, copyingFrom };
}

async function takeSteps(run: PreparedRun, control: RunControl): Promise<LastStep & { watch: WatchSummary | null }> {
  const { options } = run;
  const { saveEvery, sample, steps } = options;
  const first = run.stepsBefore ?? 0;
  control.emit({ type: 'phase', phase: 'train', done: first, total: steps });
  control.started();
  const times: number[] = [];
  const watch = await openWatch(run, control);
  let last: LastStep = { step: first, loss: Number.NaN };
  let saved = run.stepsBefore;
  while (last.step < steps && !control.stopRequested) {
    control.signal.throwIfAborted();
    const known = times.length;
    last = await takeSome(run, control, last.step, times);
    if (known < STEPS_TO_FORECAST && times.length >= STEPS_TO_FORECAST) {
      const seconds = Math.round((median(times) * (steps - first)) / 1000);
      control.emit({ type: 'forecast', memory: run.neededBytes, seconds });
      await keepAlgorithms(run.session, cacheWarning(control));
    }
    if (saveEvery && last.step % saveEvery === 0 && last.step < steps) {
      await saveCheckpoint(run, control, last.step);
      saved = last.step;
    }
    if (await watch?.after(last.step)) saved = last.step;
    if (sample && last.step % sample.every === 0) await samplePictures(run, control, last.step);
  }
  control.signal.throwIfAborted();
  if (saved !== last.step) {
    control.emit({ type: 'phase', phase: 'save' });
    await saveRun(run, last.step, { checkpoint: false, signal: control.signal });
  }
  await keepAlgorithms(run.session, cacheWarning(control));
  return { ...last, watch: summary(run, watch) };
}

/** The next step, or on a device with a queue the next few. */
function takeSome(run: PreparedRun, control: RunControl, done: number, times: number[]): Promise<LastStep> {
  if (!run.trainer.queue) return takeStep(run, control, done + 1, times);
  return takeBlock(run, control, { first: done + 1, last: blockEnd(run.options, done, times) }, times);
}

async function saveCheckpoint(run: PreparedRun, control: RunControl, step: number): Promise<void> {
  await saveRun(run, step, { checkpoint: true, signal: control.signal });
  control.emit({ type: 'checkpoint', step, path: run.folder.checkpointPath(step) });
}
