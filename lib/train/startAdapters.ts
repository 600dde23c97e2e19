import type { AdapterLayout } from '../adapters/adapterLayout.js';
import type { AdapterSpec } from '../adapters/adapterSpec.js';
import { drawStart } from '../adapters/start.js';
import type { OpenModel } from '../pipeline/openModel.js';
import { ensureState, releaseComponent, runOnce, type Session } from '../pipeline/session.js';
import { deriveSeed } from '../random/philox.js';
import { SEED_USES } from './draws.js';
import type { ResolvedTrainOptions } from './options.js';
import { type RunFolder, rewindLog } from './runFolder.js';
import type { RunControl } from './trainingRun.js';
import { loadTrainState } from './trainState.js';

export interface StartParts {
  readonly options: ResolvedTrainOptions;
  readonly model: OpenModel;
  readonly layout: AdapterLayout;
  readonly session: Session;
  readonly folder: RunFolder;
  readonly control: RunControl;
}

/** The adapters that a run's options describe. */
export function specOf({ variant, rank, start, components, frames, orthogonal }: ResolvedTrainOptions): AdapterSpec {
  return { variant, rank, start: { from: start, which: components, frames }, orthogonal };
}

/** Seed of the start's draws: the one that a compact adapter file names. */
export function startSeed(seed: number): number {
  return deriveSeed(seed, SEED_USES.start);
}

/** Makes the flat state buffers of a layout, zero where they are new. */
export function ensureAdapterStates(session: Session, layout: AdapterLayout, names: readonly string[]): void {
  for (const name of names) ensureState(session, name, layout.flat.total);
}

/**
 * Puts the adapters' values into the session: drawn anew, or those of the run to go on with.
 * @returns the steps that were taken before
 */
export async function startAdapters(parts: StartParts): Promise<number> {
  const { options, layout, session, folder, control } = parts;
  ensureAdapterStates(session, layout, ['params', ...(layout.orthogonal ? ['base'] : []), 'grads', 'm', 'v']);
  if (options.resume) {
    const { step } = loadTrainState(folder.statePath, session, layout.flat);
    await rewindLog(folder, step);
    return step;
  }
  await drawAdapters(session, layout, specOf(options), startSeed(options.seed), parts.model, (done, total) =>
    control.emit({ type: 'phase', phase: 'start', done, total }),
  );
  control.signal.throwIfAborted();
  return 0;
}

/** Draws a start into `params` and `base`. A start from the weights loads these and frees them again. */
export async function drawAdapters(
  session: Session,
  layout: AdapterLayout,
  spec: AdapterSpec,
  seed: number,
  model: Pick<OpenModel, 'unet'>,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<void> {
  const { unet } = model;
  await drawStart({
    layout,
    spec,
    seed,
    runGraph: (graph, feeds) => runOnce(session, graph, [unet], feeds),
    state: session.engine,
    weights: { component: unet.name, tensors: unet.tensors },
    onProgress,
  });
  releaseComponent(session, unet);
}
