// In half precision float32's bounds do not apply: an error may be twice that of plain rounding after every op. Several tensors are
// judged together: the worst of many gradients of a few numbers is worse than plain rounding's worst by luck alone.
import type { ComputeDevice } from '../../lib/pipeline/device.js';
import type { Session } from '../../lib/pipeline/session.js';
import { interpretedEngine } from '../support/interpretedEngine.js';
import { type BoundOf, checksOf, type Judging } from './checks.js';
import type { kindOf } from './kinds.js';
import type { Pipeline } from './pipeline.js';

/** A session in which plans made for a device are interpreted, each value rounded to its type. */
function interpretedSession({ threads, target, compute }: ComputeDevice): Session {
  const held = { weights: new Set<string>(), states: new Map<string, number>() };
  return { engine: interpretedEngine(), threads, target, compute, ...held, algorithmCache: undefined };
}

/** The errors of plain rounding in all checks of a result, by what they are of. */
export async function plainErrors(
  pipeline: Pipeline,
  device: ComputeDevice,
  check: NonNullable<ReturnType<typeof kindOf>>,
): Promise<Map<string, number>> {
  const errors = new Map<string, number>();
  const judging: Judging = { boundOf: (bound) => bound, several: 'mean' };
  const report = checksOf('', ({ what, error }) => void errors.set(what, error), judging);
  await check({ ...pipeline, session: interpretedSession(device) }, report);
  return errors;
}

/**
 * What must be exact stays so, and what is float32 in every precision (encoding a picture) keeps its bound.
 * @param float32 the bounds of float32 on the device
 */
export function besidePlain(plain: ReadonlyMap<string, number>, float32: BoundOf): Judging {
  const boundOf: BoundOf = (bound, what, like = what) => {
    if (bound === 0) return 0;
    const errors = [what, like].map((name) => plain.get(name) ?? Number.NaN) as [number, number];
    return Math.max(float32(bound, what), 2 * errors[0], 2 * errors[1]);
  };
  return { boundOf, several: 'mean' };
}
