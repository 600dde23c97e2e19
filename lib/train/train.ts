import { resolve } from 'node:path';
import { ConfigError, NonFiniteError } from '../errors.js';
import type { DeviceInfo, StepEvent } from './events.js';
import { type ResolvedTrainOptions, resolveTrainOptions, type TrainOptions } from './options.js';
import { type PreparedRun, prepareRun } from './prepareRun.js';
import { samplePictures } from './samples.js';
import { saveRun } from './saveRun.js';
import { type RunControl, startRun, type TrainingRun } from './trainingRun.js';

/** What a finished or stopped run gives. */
export interface TrainResult {
  readonly adapterPath: string;
  /** Steps finished, those before a resume included. */
  readonly steps: number;
  readonly stopReason: 'completed' | 'stopped';
  /** Loss of the last step. */
  readonly finalLoss: number;
  readonly device: DeviceInfo;
  readonly durationMs: number;
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
  const dir = typeof options.outputDir === 'string' ? options.outputDir : 'runs/tlora';
  const onEvent: RunControl['emit'] = (event) => {
    options.onEvent?.(event);
    if (event.type === 'step') options.onStep?.(event);
  };
  const body = (control: RunControl): Promise<TrainResult> => runTraining(resolveTrainOptions(options), control);
  return startRun(body, { id: resolve(dir), dir, signal: options.signal, onEvent });
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
      config: options,
    };
  } finally {
    run.dispose();
  }
}

interface LastStep {
  step: number;
  loss: number;
}

async function takeSteps(run: PreparedRun, control: RunControl): Promise<LastStep> {
  const { options, folder } = run;
  if (run.stepsDone >= options.steps) {
    throw new ConfigError(
      `steps: expected more than the ${run.stepsDone} steps that this run has taken, got ${options.steps}`,
    );
  }
  control.emit({ type: 'phase', phase: 'train', done: run.stepsDone, total: options.steps });
  control.started();
  const times: number[] = [];
  let last: LastStep = { step: run.stepsDone, loss: Number.NaN };
  let saved = run.stepsDone;
  while (last.step < options.steps && !control.stopRequested) {
    control.signal.throwIfAborted();
    last = await takeStep(run, control, last.step + 1, times);
    if (times.length === STEPS_TO_FORECAST) {
      const seconds = Math.round((median(times) * (options.steps - run.stepsDone)) / 1000);
      control.emit({ type: 'forecast', memory: run.neededBytes, seconds });
    }
    const { saveEvery, sample } = options;
    if (saveEvery && last.step % saveEvery === 0 && last.step < options.steps) {
      await saveRun(run, last.step, { checkpoint: true });
      saved = last.step;
      control.emit({ type: 'checkpoint', step: last.step, path: folder.checkpointPath(last.step) });
    }
    if (sample && last.step % sample.every === 0) await samplePictures(run, control, last.step, sample.prompts);
  }
  control.signal.throwIfAborted();
  if (saved < last.step) {
    control.emit({ type: 'phase', phase: 'save' });
    await saveRun(run, last.step, { checkpoint: false });
  }
  return last;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

async function takeStep(run: PreparedRun, control: RunControl, step: number, times: number[]): Promise<LastStep> {
  const { options, folder, trainer } = run;
  const batches = run.draw(step);
  const feeds = batches.map((b) => ({ ...b.feeds, ...run.pictureFeeds(b.pictures) }));
  const from = performance.now();
  const { loss, norm } = await trainer.step(step, feeds);
  const stepMs = performance.now() - from;
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) await reportNonFinite(run, step, feeds, loss);
  times.push(stepMs);
  const memory = run.memory();
  const event: StepEvent = {
    type: 'step',
    step,
    steps: options.steps,
    loss,
    timesteps: batches.flatMap((b) => b.timesteps),
    activeRanks: batches.flatMap((b) => b.activeRanks),
    learningRate: options.learningRate,
    stepMs,
    etaMs: median(times.slice(-20)) * (options.steps - step),
    memory,
  };
  const { timesteps, activeRanks, learningRate } = event;
  folder.log({ step, loss, norm, timesteps, activeRanks, learningRate, stepMs: Math.round(stepMs * 100) / 100 });
  control.emit(event);
  return { step, loss };
}

/**
 * The optimizer has left the trained values alone. Saves them as they were before the step, then repeats the step op by op to
 * name the one that went wrong first.
 */
async function reportNonFinite(
  run: PreparedRun,
  step: number,
  feeds: Parameters<PreparedRun['trainer']['step']>[1],
  loss: number,
): Promise<never> {
  if (step - 1 > 0) await saveRun(run, step - 1, { checkpoint: false });
  const hint = `The values before step ${step} are kept in ${run.folder.dir}. Lower --learning-rate, or give --clip 1.`;
  try {
    await run.trainer.step(step, feeds, true);
  } catch (cause) {
    if (cause instanceof NonFiniteError) {
      throw new NonFiniteError(`step ${step}: the loss is ${loss}: ${cause.message}`, { cause, hint });
    }
    throw cause;
  }
  throw new NonFiniteError(`step ${step}: the loss is ${loss}`, { hint });
}
