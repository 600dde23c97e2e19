// Steps that a device judges and notes down itself (lib/ops/recordStep.ts), read by the host in blocks.
import { STEP_APPLIED, STEP_COUNT, STEP_FAILED, STEP_GOOD, STEP_HEADER, STEP_SCALE } from '../ops/recordStep.js';
import type { ComputeDevice } from '../pipeline/device.js';
import type { Session } from '../pipeline/session.js';
import { recordFloats, rowFloats, type StepRecording } from './stepGraph.js';

/** Most steps that are queued before the host waits for them. */
export const MOST_QUEUED = 32;

/** Steps without an overflow after which the scale of the loss doubles, and the scale of a new run: torch.amp's GradScaler. */
const GROWTH_INTERVAL = 2000;
const FIRST_SCALE = 2 ** 16;

/** The recording of a device for steps of so many samples: none on the CPU, where the host sees every step. */
export function recordingOf(
  { info, compute }: Pick<ComputeDevice, 'info' | 'compute'>,
  samples: number,
): StepRecording | undefined {
  if (info.kind === 'cpu') return undefined;
  return { growthInterval: compute === 'f16' ? GROWTH_INTERVAL : 0, rows: MOST_QUEUED, samples };
}

/** The scale of the loss, and the finite steps since it changed: what a float16 run goes on with. */
export interface LossScale {
  readonly scale: number;
  readonly good: number;
  /** Steps of the run that were not skipped. */
  readonly applied: number;
}

/** One step as the device noted it down. */
export interface RecordedStep {
  readonly loss: number;
  /** Norm of the gradient, before clipping; infinite or NaN where the scale was too large, and the step was skipped. */
  readonly norm: number;
  readonly scale: number;
  readonly skipped: boolean;
  /** Of each sample; empty where there is one, whose loss is `loss`. */
  readonly losses: readonly number[];
}

export interface StepRecord {
  /** Index of the step that no smaller scale repairs; neither it nor any later one was applied. null: there is none. */
  readonly failed: number | null;
  readonly steps: readonly RecordedStep[];
}

/**
 * Makes the record empty, with the scale that a run begins or goes on with.
 * @param done steps of the run so far; without `lossScale` all of them were applied
 */
export function clearRecord(
  { engine }: Session,
  recording: StepRecording,
  lossScale: LossScale | null,
  done: number,
): void {
  const first = { scale: recording.growthInterval > 0 ? FIRST_SCALE : 1, good: 0, applied: done };
  const { scale, good, applied } = lossScale ?? first;
  const values = new Float32Array(recordFloats(recording));
  values.set([0, 1 / scale, scale, good]);
  values[STEP_APPLIED] = applied;
  engine.writeState('steps', 0, values);
}

/** Of skipped steps, those that no smaller scale makes finite. */
function isBeyondRepair({ loss, scale, skipped }: RecordedStep): boolean {
  return skipped && !(Number.isFinite(loss) && scale > 1);
}

/** The scale that the next step will have; null where gradients are not scaled. */
export function readLossScale({ engine }: Session, { growthInterval }: StepRecording): LossScale | null {
  if (growthInterval === 0) return null;
  const header = engine.readState('steps', 0, STEP_HEADER);
  return { scale: header[STEP_SCALE]!, good: header[STEP_GOOD]!, applied: header[STEP_APPLIED]! };
}

/** Waits for the steps that are queued, reads what they noted down, and makes room for more. */
export function takeRecord({ engine }: Session, recording: StepRecording): StepRecord {
  const values = engine.readState('steps', 0, recordFloats(recording));
  engine.writeState('steps', STEP_COUNT, Float32Array.of(0));
  const steps = Array.from({ length: values[STEP_COUNT]! }, (_, i) => {
    const row = rowFloats(recording);
    const [loss, norm, scale, skipped, ...losses] = values.subarray(STEP_HEADER + i * row, STEP_HEADER + (i + 1) * row);
    return { loss: loss!, norm: norm!, scale: scale!, skipped: skipped === 1, losses };
  });
  const failed = values[STEP_FAILED] === 0 ? null : steps.findIndex(isBeyondRepair);
  return { failed, steps };
}
