import { NonFiniteError } from '../errors.js';
import type { PreparedRun } from './prepareRun.js';
import { saveRun } from './saveRun.js';
import type { Trainer } from './trainer.js';
import type { RunControl } from './trainingRun.js';

/** Values read from a state buffer at once. */
const PIECE = 2 ** 22;

/** A step whose loss or gradient is infinite or not a number. */
export interface FailedStep {
  readonly step: number;
  readonly feeds: Parameters<Trainer['step']>[1];
  readonly loss: number;
}

function hasFiniteValues({ session, layout }: PreparedRun): boolean {
  const { total } = layout.flat;
  for (let at = 0; at < total; at += PIECE) {
    const values = session.engine.readState('params', at, Math.min(PIECE, total - at));
    if (!values.every(Number.isFinite)) return false;
  }
  return true;
}

/** Saves the values from before the step, which the optimizer has left alone, if there is anything good in them. */
async function keepLastGood(run: PreparedRun, { signal }: RunControl, step: number): Promise<string> {
  if (step <= 1) return 'Nothing was saved, as it is the first step.';
  if (!hasFiniteValues(run))
    return `The values before it are no better and were not saved; ${run.folder.dir} is as it was.`;
  await saveRun(run, step - 1, { checkpoint: false, signal });
  return `The values before step ${step} are kept in ${run.folder.dir}.`;
}

/**
 * Keeps the last good state, then repeats the step op by op to name the one that went wrong first.
 * @throws NonFiniteError always
 */
export async function failNonFinite(run: PreparedRun, control: RunControl, failed: FailedStep): Promise<never> {
  const { step, feeds, loss } = failed;
  const kept = await keepLastGood(run, control, step);
  const hint = `${kept} Lower --learning-rate, or give --clip 1.`;
  try {
    await run.trainer.step(step, feeds, true);
  } catch (cause) {
    if (!(cause instanceof NonFiniteError)) throw cause;
    throw new NonFiniteError(`step ${step}: the loss is ${loss}: ${cause.message}`, { cause, hint });
  }
  throw new NonFiniteError(`step ${step}: the loss is ${loss}`, { hint });
}
