import { addAbortListener } from 'node:events';
import type { Engine, Program } from '../addon/surface.js';
import { AbortError } from '../errors.js';
import type { ComputeDevice } from '../pipeline/device.js';
import { openSession, type Session } from '../pipeline/session.js';
import { tellUnrecorded } from '../pipeline/unrecorded.js';
import { cacheWarning } from './algorithms.js';
import type { RunControl } from './trainingRun.js';

/** A session of a run, and how to end it. */
export interface RunSession {
  readonly session: Session;
  close(): void;
}

/**
 * A session that the signal stops: what is under way is cancelled, and every later load and run rejects with an AbortError, so
 * that no work begins between the abort and its being noticed.
 */
export function openRunSession(device: ComputeDevice, control: Pick<RunControl, 'signal' | 'emit'>): RunSession {
  const { signal, emit } = control;
  const opened = openSession(device, cacheWarning(control));
  const telling = tellUnrecorded(opened.engine, (code, message) => emit({ type: 'warning', code, message }));
  const watch = addAbortListener(signal, () => opened.engine.cancel());
  return {
    session: { ...opened, engine: stoppable(telling, signal) },
    close: () => {
      watch[Symbol.dispose]();
      opened.engine.dispose();
    },
  };
}

function stoppable(engine: Engine, signal: AbortSignal): Engine {
  const unless = <T>(work: () => Promise<T>): Promise<T> =>
    signal.aborted ? Promise.reject(new AbortError(signal.reason)) : work();
  return {
    ...engine,
    loadWeights: (weights) => unless(() => engine.loadWeights(weights)),
    load: (plan): Program => {
      const program = engine.load(plan);
      return { ...program, run: (options) => unless(() => program.run(options)) };
    },
  };
}
