// One optimizer step, or on a device with a queue a block of them: what goes in, what is told and logged.
import type { DrawnBatch } from './draws.js';
import type { StepEvent } from './events.js';
import { failNonFinite } from './nonFinite.js';
import type { PreparedRun } from './prepareRun.js';
import { MOST_QUEUED, type RecordedStep } from './stepRecord.js';
import type { Trainer } from './trainer.js';
import type { RunControl } from './trainingRun.js';

export interface LastStep {
  step: number;
  loss: number;
}

/** The host looks at what a queue does about once in this time. */
const BLOCK_MS = 1000;

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

interface DrawnStep {
  readonly batches: readonly DrawnBatch[];
  readonly feeds: Parameters<Trainer['step']>[1];
}

/** Times, ranks, keys and pictures of a step: a pure function of the run's seed and the step. */
function drawnStep(run: PreparedRun, step: number): DrawnStep {
  const batches = run.draw(step);
  return { batches, feeds: batches.map((b) => ({ ...b.feeds, ...run.pictureFeeds(b.pictures) })) };
}

interface FinishedStep {
  readonly step: number;
  readonly drawn: DrawnStep;
  readonly result: Pick<RecordedStep, 'loss' | 'norm' | 'losses'> & Partial<RecordedStep>;
  readonly stepMs: number;
  /** Of the steps so far. */
  readonly times: readonly number[];
}

/** Logs a step and tells listeners. */
function tellStep(run: PreparedRun, control: RunControl, finished: FinishedStep): void {
  const { options, folder } = run;
  const { step, drawn, result, stepMs, times } = finished;
  const { loss, norm, losses, scale, skipped } = result;
  const event: StepEvent = {
    type: 'step',
    step,
    steps: options.steps,
    loss,
    timesteps: drawn.batches.flatMap((b) => b.timesteps),
    activeRanks: drawn.batches.flatMap((b) => b.activeRanks),
    learningRate: options.learningRate,
    stepMs,
    etaMs: median(times.slice(-20)) * (options.steps - step),
    memory: run.memory(),
  };
  const { timesteps, activeRanks, learningRate } = event;
  const scaled = run.precision === 'fp16' ? { lossScale: scale, skipped } : {};
  const each = losses.length > 1 ? { losses } : {};
  const ms = Math.round(stepMs * 100) / 100;
  folder.log({ step, loss, norm, timesteps, activeRanks, ...each, learningRate, stepMs: ms, ...scaled });
  control.emit(event);
}

/** Takes one step and waits for it. */
export async function takeStep(
  run: PreparedRun,
  control: RunControl,
  step: number,
  times: number[],
): Promise<LastStep> {
  const drawn = drawnStep(run, step);
  const from = performance.now();
  const { loss, norm, perSample } = await run.trainer.step(step, drawn.feeds);
  const stepMs = performance.now() - from;
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    await failNonFinite(run, control, { step, feeds: drawn.feeds, loss });
  }
  times.push(stepMs);
  tellStep(run, control, { step, drawn, result: { loss, norm, losses: perSample }, stepMs, times });
  return { step, loss };
}

/** The last step before the host must look: to save, to sample, to watch, at the end, and about once a second. */
export function blockEnd(
  { steps, saveEvery, sample, watch }: Pick<PreparedRun['options'], 'steps' | 'saveEvery' | 'sample' | 'watch'>,
  done: number,
  times: readonly number[],
): number {
  const queued = times.length === 0 ? 1 : Math.ceil(BLOCK_MS / Math.max(median(times.slice(-20)), 1));
  const next = [saveEvery, sample?.every, watch?.every].flatMap((every) =>
    every ? [(Math.floor(done / every) + 1) * every] : [],
  );
  return Math.min(steps, done + Math.min(queued, MOST_QUEUED), ...next);
}

/**
 * Queues steps on the device, waits for them once, then logs and tells each.
 * @throws NonFiniteError for one that cannot be repaired; neither it nor a later one has changed anything
 */
export async function takeBlock(
  run: PreparedRun,
  control: RunControl,
  { first, last }: { first: number; last: number },
  times: number[],
): Promise<LastStep> {
  const queue = run.trainer.queue!;
  const drawn: DrawnStep[] = [];
  const from = performance.now();
  for (let step = first; step <= last; step++) {
    control.signal.throwIfAborted();
    const next = drawnStep(run, step);
    drawn.push(next);
    await queue.push(step, next.feeds, step === last);
  }
  const { steps, failed } = queue.take();
  const stepMs = (performance.now() - from) / drawn.length;
  steps.slice(0, failed ?? steps.length).forEach((result, i) => {
    times.push(stepMs);
    tellStep(run, control, { step: first + i, drawn: drawn[i]!, result, stepMs, times });
  });
  if (failed !== null) {
    await failNonFinite(run, control, { step: first + failed, feeds: drawn[failed]!.feeds, loss: steps[failed]!.loss });
  }
  return { step: last, loss: steps.at(-1)!.loss };
}
