import { NonFiniteError } from '../errors.js';
import type { PreparedRun } from './prepareRun.js';
import { saveRun } from './saveRun.js';
import type { Trainer } from './trainer.js';
import type { RunControl } from './trainingRun.js';

/** A step whose loss or gradient is infinite or not a number. */
export interface FailedStep {
  readonly step: number;
  readonly feeds: Parameters<Trainer['step']>[1];
  readonly loss: number;
}

/** Saves the values from before the step, which the optimizer has left alone, if there is anything good in them. */
async function keepLastGood(run: PreparedRun, { signal }: RunControl, step: number): Promise<string> {
  if (step <= 1) return 'Nothing was saved, as it is the first step.';
  try {
    await saveRun(run, step - 1, { checkpoint: false, signal });
    return `The values before step ${step} are kept in ${run.folder.dir}.`;
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    return `The values before step ${step} are no better and were not saved; what was saved before is kept.`;
  }
}

/**
 * Keeps the last good state, then repeats the step op by op to name the one that went wrong first.
 * @throws NonFiniteError always
 */
export async function failNonFinite(run: PreparedRun, control: RunControl, failed: FailedStep): Promise<never> {
  const { step, feeds, loss } = failed;
  const kept = await keepLastGood(run, control, step);
  const hint = `${kept} Lower --learning-rate, or give --clip 1.`;
  run.trainer.queue?.reset(run.trainer.queue.lossScale(), step - 1);
  try {
    await run.trainer.step(step, feeds, true);
  } catch (cause) {
    if (!(cause instanceof NonFiniteError)) throw cause;
    throw new NonFiniteError(`step ${step}: the loss is ${loss}: ${cause.message}`, { cause, hint });
  }
  throw new NonFiniteError(`step ${step}: the loss is ${loss}`, { hint });
}
