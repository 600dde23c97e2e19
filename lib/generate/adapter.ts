import type { AdapterFile, DrawnStart } from '../adapters/adapterFile.js';
import type { AdapterLayout } from '../adapters/adapterLayout.js';
import { isMasked } from '../adapters/adapterSpec.js';
import { baseFingerprint } from '../adapters/fingerprint.js';
import type { LycorisStart } from '../adapters/lycorisFile.js';
import { type AdaptedModel, adaptableLayers, type PipelineLayers } from '../adapters/modelLayers.js';
import { expectBase, layoutOf, openAdapter, writeAdapter } from '../adapters/openAdapter.js';
import { activeRank, type RankSchedule } from '../adapters/rankSchedule.js';
import { drawStart, type StateWriter } from '../adapters/start.js';
import { ConfigError } from '../errors.js';
import type { Component, ModelFiles } from '../io/modelFolder.js';
import type { TensorRef } from '../io/safetensors.js';
import { ensureState, releaseComponent, runOnce, type Session } from '../pipeline/session.js';
import type { TextAdapters } from '../pipeline/textStates.js';
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
  /** Leave out what it has for text encoders. */
  readonly unetOnly?: boolean;
  /** Start of a T-LoRA of LyCORIS, where the file does not say it. */
  readonly components?: LycorisStart | undefined;
}

/** The models of a pipeline that can have adapters. */
export type AdaptableModels = Pick<ModelFiles, 'unet' | 'textEncoder' | 'textEncoder2'>;

/** The layers of a pipeline that can have adapters. */
export function pipelineLayers({ unet, textEncoder, textEncoder2 }: AdaptableModels): PipelineLayers {
  const models = [unet, textEncoder, ...(textEncoder2 ? [textEncoder2] : [])];
  return new Map(models.map(({ name, tensors }) => [name as AdaptedModel, adaptableLayers(tensors)]));
}

/**
 * The mask of a file without metadata of ours.
 * @param T training timesteps of the model
 */
export function assumedSchedule({ layers, mask }: AdapterFile, T: number): RankSchedule {
  const perRank = mask?.perRank ?? 1;
  const maxRank = mask?.maxRank ?? Math.max(1, ...layers.map((layer) => Math.ceil(layer.rank / perRank)));
  const minRank = mask ? Math.min(maxRank, mask.minRank ?? Math.floor(maxRank / 2)) : maxRank;
  return { T: mask?.T ?? T, maxRank, minRank, alpha: mask?.alpha ?? 1 };
}

/** Tells what is not in the file and was taken to be usual. */
function warnAssumed({ path, info, mask, drawn }: AdapterFile, schedule: RankSchedule, warn: Warn): void {
  if (!info && mask && !mask.recorded) {
    const message = `${path} does not name its rank schedule: ${schedule.minRank} to ${schedule.maxRank}, alpha ${schedule.alpha} is assumed`;
    warn({ type: 'warning', code: 'SCHEDULE_ASSUMED', message });
  }
  if (drawn?.assumed) {
    const message = `${path} does not name its start: the ${drawn.spec.start.which} components of the layers' weights are assumed`;
    warn({ type: 'warning', code: 'START_ASSUMED', message });
  }
}

type Warn = (event: GenerateEvent) => void;

/**
 * Opens an adapter for a model; reads its header only.
 * @param T training timesteps of the model
 * @throws FileFormatError for a file that is no adapter or does not fit; ConfigError for another base model
 */
export function openGenerationAdapter(
  model: AdaptableModels,
  T: number,
  { path, strength, force, unetOnly = false, components }: AdapterWish,
  warn: Warn,
): GenerationAdapter {
  const { unet } = model;
  const pipeline = pipelineLayers(model);
  const file = openAdapter(path, pipeline, { unetOnly, start: components });
  const paths = file.layers.map((layer) => layer.path);
  expectBase(
    file,
    { linears: pipeline.get('unet')!, fingerprint: () => baseFingerprint(unet.tensors, paths) },
    { force },
  );
  const { info } = file;
  const schedule = info?.schedule ?? assumedSchedule(file, T);
  warnAssumed(file, schedule, warn);
  const perRank = file.mask?.perRank ?? 1;
  const masked = info ? isMasked(info.spec.variant) : file.mask !== null;
  const resolution = info?.training.resolution;
  return {
    file,
    sampled: { layout: layoutOf(file), strength },
    activeRank: (t) => perRank * (masked ? activeRank(schedule, t) : schedule.maxRank),
    resolution: typeof resolution === 'number' ? resolution : undefined,
    subject: info && info.className !== '' ? `${info.token} ${info.className}` : undefined,
  };
}

/** What the adapter has for the text encoders, by their names, with its strength. */
export function textAdapters({ file, sampled }: GenerationAdapter): TextAdapters {
  return new Map([...file.text].map(([name, own]) => [name, { file: own, strength: sampled.strength }]));
}

/** A model whose 1×1 convolutions are matrices: their bytes are the same. */
function withMatrices(model: Component): Component {
  const tensors = [...model.tensors].map(([key, ref]): [string, TensorRef] => {
    const [out, width, ...kernel] = ref.shape;
    return [key, kernel.join() === '1,1' ? { ...ref, shape: [out!, width!] } : ref];
  });
  return { ...model, tensors: new Map(tensors) };
}

/**
 * Draws a start that is not in its file.
 * @param unet for a start from its weights, which are loaded and freed again
 * @throws ConfigError when the weights are needed and there is no `unet`
 */
export async function drawFileStart(
  session: Session,
  { spec, seed }: DrawnStart,
  layout: AdapterLayout,
  { unet, state }: { unet: Component | undefined; state: StateWriter },
): Promise<void> {
  const weights = unet && withMatrices(unet);
  await drawStart({
    layout,
    spec,
    seed,
    runGraph: (graph, feeds) => runOnce(session, graph, weights ? [weights] : [], feeds),
    state,
    ...(weights && { weights: { component: weights.name, tensors: weights.tensors } }),
  });
  if (unet) releaseComponent(session, unet);
}

/** Loads the adapter's values into `params` and `base`; a start that is not in the file is drawn again. */
export async function loadGenerationAdapter(
  session: Session,
  unet: Component,
  { file, sampled: { layout } }: Pick<GenerationAdapter, 'file' | 'sampled'>,
): Promise<void> {
  for (const name of layout.orthogonal ? ['params', 'base'] : ['params']) ensureState(session, name, layout.flat.total);
  if (file.drawn) await drawFileStart(session, file.drawn, layout, { unet, state: session.engine });
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
