import type { AdapterFile } from '../adapters/adapterFile.js';
import { isMasked } from '../adapters/adapterSpec.js';
import { baseFingerprint } from '../adapters/fingerprint.js';
import { expectBase, layoutOf, openAdapter, writeAdapter } from '../adapters/openAdapter.js';
import { activeRank, type RankSchedule } from '../adapters/rankSchedule.js';
import { drawStart } from '../adapters/start.js';
import { ConfigError } from '../errors.js';
import type { Component } from '../io/modelFolder.js';
import { ensureState, releaseComponent, runOnce, type Session } from '../pipeline/session.js';
import type { SampledAdapter } from './denoiser.js';
import type { GenerateEvent } from './options.js';

/** An adapter file that fits the model, with all that sampling needs to know of it. */
export interface GenerationAdapter {
  readonly file: AdapterFile;
  readonly sampled: SampledAdapter;
  /** Components in use at a timestep. */
  readonly activeRank: (t: number) => number;
  /** Side of the pictures that it was trained on, if the file says so. */
  readonly resolution: number | undefined;
  /** What `{0}` stands for, if the file says so. */
  readonly subject: string | undefined;
}

export interface AdapterWish {
  readonly path: string;
  readonly strength: number;
  /** Use it although it was trained on another base model. */
  readonly force: boolean;
}

function linearLayers(unet: Component): Map<string, { path: string; in: number; out: number }> {
  const layers = [...unet.tensors].flatMap(([key, { shape }]) => {
    const path = key.replace(/\.weight$/, '');
    return path !== key && shape.length === 2 ? [{ path, in: shape[1]!, out: shape[0]! }] : [];
  });
  return new Map(layers.map((layer) => [layer.path, layer]));
}

/** The authors' files do not name their mask: half the rank at the highest noise and a straight line are their usual settings. */
function assumedSchedule(file: AdapterFile, T: number): RankSchedule {
  const maxRank = Math.max(...file.layers.map((layer) => layer.rank));
  return { T, maxRank, minRank: Math.floor(maxRank / 2), alpha: 1 };
}

/**
 * Opens an adapter for a model; reads its header only.
 * @param T training timesteps of the model
 * @throws FileFormatError for a file that is no adapter or does not fit; ConfigError for another base model
 */
export function openGenerationAdapter(
  unet: Component,
  T: number,
  { path, strength, force }: AdapterWish,
  warn: (event: GenerateEvent) => void,
): GenerationAdapter {
  const file = openAdapter(path);
  const paths = file.layers.map((layer) => layer.path);
  expectBase(file, { linears: linearLayers(unet), fingerprint: () => baseFingerprint(unet.tensors, paths) }, { force });
  const { info } = file;
  const schedule = info?.schedule ?? assumedSchedule(file, T);
  if (!info) {
    const message = `${path} does not name its rank schedule: ${schedule.minRank} to ${schedule.maxRank}, alpha 1 is assumed`;
    warn({ type: 'warning', code: 'SCHEDULE_ASSUMED', message });
  }
  const masked = info === null || isMasked(info.spec.variant);
  const resolution = info?.training.resolution;
  return {
    file,
    sampled: { layout: layoutOf(file), strength },
    activeRank: (t) => (masked ? activeRank(schedule, t) : schedule.maxRank),
    resolution: typeof resolution === 'number' ? resolution : undefined,
    subject: info ? `${info.token} ${info.className}` : undefined,
  };
}

/** Loads the adapter's values into `params` and `base`; the start of a compact file is drawn again. */
export async function loadGenerationAdapter(
  session: Session,
  unet: Component,
  { file, sampled: { layout } }: GenerationAdapter,
): Promise<void> {
  for (const name of layout.orthogonal ? ['params', 'base'] : ['params']) ensureState(session, name, layout.flat.total);
  if (file.compact && file.info) {
    await drawStart({
      layout,
      spec: file.info.spec,
      seed: file.info.seed,
      runGraph: (graph, feeds) => runOnce(session, graph, [unet], feeds),
      state: session.engine,
      weights: { component: unet.name, tensors: unet.tensors },
    });
    releaseComponent(session, unet);
  }
  writeAdapter(file, layout, session.engine);
}

/**
 * Puts the adapter's "token class" in the place of `{0}`.
 * @throws ConfigError when nothing says what `{0}` stands for
 */
export function fillSubject(option: string, prompt: string, adapter: GenerationAdapter | undefined): string {
  if (!prompt.includes('{0}')) return prompt;
  const subject = adapter?.subject;
  if (subject !== undefined) return prompt.replaceAll('{0}', () => subject);
  const why = adapter ? `${adapter.file.path} does not name token and class` : 'there is no adapter';
  throw new ConfigError(`${option}: expected no {0}, as ${why}, got '${prompt}'`, {
    hint: 'Write the words themselves, such as "a photo of sks dog".',
  });
}
