import { saveAdapter } from '../adapters/adapterFile.js';
import type { AdapterInfo } from '../adapters/adapterMetadata.js';
import { baseFingerprint } from '../adapters/fingerprint.js';
import { writeAlgorithms } from './algorithms.js';
import type { PreparedRun } from './prepareRun.js';
import { ensureParent } from './runFolder.js';
import { specOf, startSeed } from './startAdapters.js';
import { saveTrainState } from './trainState.js';

/** What the adapter file of a run says of itself after `step` steps. */
export function adapterInfo(run: PreparedRun, step: number): AdapterInfo {
  const { options, layout, model, ranks, side } = run;
  const paths = layout.layers.map((layer) => layer.path);
  const { learningRate, weightDecay, batch, accumulate, clip, seed } = options;
  return {
    spec: specOf(options),
    schedule: ranks,
    seed: startSeed(options.seed),
    token: options.token,
    className: options.className,
    prompt: options.prompt,
    baseFingerprint: baseFingerprint(model.unet.tensors, paths),
    training: {
      steps: step,
      learningRate,
      weightDecay,
      batch,
      accumulate,
      ...(clip === undefined ? {} : { clip }),
      seed,
      resolution: side,
      captions: options.captions,
    },
  };
}

/**
 * Writes the state and the adapter; each is replaced whole. The state goes first: whatever happens in between, going on from it
 * gives the same adapter again.
 * @param checkpoint also keeps the adapter of this step in `checkpoints`
 * @param signal ends the writing; files that are not whole yet are removed
 * @throws FileWriteError; the reason of the signal
 */
export async function saveRun(
  run: PreparedRun,
  step: number,
  { checkpoint, signal }: { checkpoint: boolean; signal: AbortSignal },
): Promise<void> {
  const { session, layout, folder } = run;
  folder.expectClaimed();
  await writeAlgorithms(folder, run.algorithms());
  const lossScale = run.trainer.queue?.lossScale() ?? null;
  await saveTrainState(folder.statePath, session, layout.flat, step, { signal, lossScale });
  if (checkpoint) {
    ensureParent(folder.checkpointPath(step));
    await writeAdapterAt(folder.checkpointPath(step), run, step, signal);
  }
  await writeAdapterAt(folder.adapterPath, run, step, signal);
}

function writeAdapterAt(path: string, run: PreparedRun, step: number, signal: AbortSignal): Promise<void> {
  const { session, layout, options } = run;
  const read = (buffer: 'params' | 'base', name: string): Float32Array => {
    signal.throwIfAborted();
    const { offset, count } = layout.flat.entries.get(name)!;
    return session.engine.readState(buffer, offset, count);
  };
  const { dtype, compact } = options;
  return saveAdapter(path, layout, adapterInfo(run, step), read, { dtype, compact });
}

/** Keeps the adapter as the best so far. The run is saved first, so that it never goes on from a step before its best one. */
export async function saveBest(run: PreparedRun, step: number, signal: AbortSignal): Promise<void> {
  await saveRun(run, step, { checkpoint: false, signal });
  await writeAdapterAt(run.folder.bestPath, run, step, signal);
}
