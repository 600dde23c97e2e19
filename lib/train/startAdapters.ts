import type { AdapterLayout } from '../adapters/adapterLayout.js';
import type { AdapterSpec } from '../adapters/adapterSpec.js';
import { drawStart, type StartOptions } from '../adapters/start.js';
import type { OpenModel } from '../pipeline/openModel.js';
import { ensureState, releaseComponent, runOnce, type Session } from '../pipeline/session.js';
import { deriveSeed } from '../random/philox.js';
import { SEED_USES } from './draws.js';
import type { ResolvedTrainOptions } from './options.js';
import type { RunControl } from './trainingRun.js';
import { readTrainState, type SavedState } from './trainState.js';

export interface StartParts {
  readonly options: ResolvedTrainOptions;
  readonly model: OpenModel;
  readonly layout: AdapterLayout;
  readonly session: Session;
  readonly control: RunControl;
  /** Of the run to go on with. */
  readonly saved: SavedState | undefined;
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

/** Puts the adapters' values into the session: drawn anew, or those of the run to go on with. */
export async function startAdapters({ options, model, layout, session, control, saved }: StartParts): Promise<void> {
  const { flat, orthogonal } = layout;
  ensureAdapterStates(session, layout, ['params', ...(orthogonal ? ['base'] : []), 'grads', 'm', 'v']);
  if (saved) return readTrainState(saved, session, flat);
  await drawAdapters(session, layout, specOf(options), startSeed(options.seed), model, {
    onProgress: (done, total) => control.emit({ type: 'phase', phase: 'start', done, total }),
    signal: control.signal,
  });
}

/** Draws a start into `params` and `base`. A start from the weights loads these and frees them again. */
export async function drawAdapters(
  session: Session,
  layout: AdapterLayout,
  spec: AdapterSpec,
  seed: number,
  model: Pick<OpenModel, 'unet'>,
  watch: Pick<StartOptions, 'onProgress' | 'signal'> = {},
): Promise<void> {
  const { unet } = model;
  await drawStart({
    layout,
    spec,
    seed,
    runGraph: (graph, feeds) => runOnce(session, graph, [unet], feeds),
    state: session.engine,
    weights: { component: unet.name, tensors: unet.tensors },
    ...watch,
  });
  releaseComponent(session, unet);
}
