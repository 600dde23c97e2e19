import { addAbortListener } from 'node:events';
import type { Engine, Program } from '../addon/surface.js';
import { AbortError } from '../errors.js';
import type { ComputeDevice } from '../pipeline/device.js';
import { openSession, type Session } from '../pipeline/session.js';
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
  const { signal } = control;
  const opened = openSession(device, cacheWarning(control));
  const watch = addAbortListener(signal, () => opened.engine.cancel());
  return {
    session: { ...opened, engine: stoppable(opened.engine, control) },
    close: () => {
      watch[Symbol.dispose]();
      opened.engine.dispose();
    },
  };
}

function stoppable(engine: Engine, { signal, emit }: Pick<RunControl, 'signal' | 'emit'>): Engine {
  const unless = <T>(work: () => Promise<T>): Promise<T> =>
    signal.aborted ? Promise.reject(new AbortError(signal.reason)) : work();
  return {
    ...engine,
    loadWeights: (weights) => unless(() => engine.loadWeights(weights)),
    load: (plan): Program => {
      const program = engine.load(plan);
      const run: Program['run'] = async (options) => {
        const report = await unless(() => program.run(options));
        if (report.unrecorded !== undefined) {
          const message = `the device works call by call, which is slower: its work cannot be recorded: ${report.unrecorded}`;
          emit({ type: 'warning', code: 'NOT_RECORDED', message });
        }
        return report;
      };
      return { ...program, run };
    },
  };
}
