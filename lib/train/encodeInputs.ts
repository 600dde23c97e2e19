import { NonFiniteError } from '../errors.js';
import { type GenerationConditions, generationConditions } from '../generate/prompts.js';
import type { Photo } from '../io/image.js';
import { keepAlgorithms } from '../pipeline/algorithmCache.js';
import { type Conditions, prepareConditions } from '../pipeline/conditions.js';
import type { ComputeDevice } from '../pipeline/device.js';
import type { OpenModel } from '../pipeline/openModel.js';
import { releaseComponent, type Session } from '../pipeline/session.js';
import { encodePrompts } from '../pipeline/textStates.js';
import { type Algorithms, cacheWarning, useAlgorithms } from './algorithms.js';
import { fillPrompt, type ResolvedTrainOptions } from './options.js';
import { encodePhotos, photoTimeIds, type TrainingLatents } from './pictureLatents.js';
import { openRunSession } from './runSession.js';
import { SAMPLE_GUIDANCE } from './samples.js';
import type { RunControl } from './trainingRun.js';

/** All that the run's steps read of its pictures and prompts. */
export interface Encoded {
  readonly latents: TrainingLatents;
  readonly conditions: Conditions;
  readonly sampleConditions: readonly GenerationConditions[];
  /** Of the pictures that are watched; null: none are. */
  readonly watchConditions: GenerationConditions | null;
  /** The most that the engine held. */
  readonly peakBytes: number;
  /** Those that its libraries chose. */
  readonly algorithms: string;
}

export interface EncodeParts {
  readonly options: ResolvedTrainOptions;
  readonly model: OpenModel;
  readonly side: number;
  readonly device: ComputeDevice;
  /** The algorithms of an earlier part of the run, if it goes on. */
  readonly algorithms: Algorithms;
  readonly control: RunControl;
  readonly photos: readonly Photo[];
}

/** Encodes pictures and prompts with an engine of its own, so that all of its memory is free again afterwards. */
export async function encodeInputs(parts: EncodeParts): Promise<Encoded> {
  const { options, model, control, photos, device } = parts;
  control.emit({ type: 'phase', phase: 'encode' });
  const { session, close } = openRunSession(device, control);
  try {
    useAlgorithms(session, parts.algorithms.encode, control);
    const latents = await encodePhotos(session, model.vae, photos);
    releaseComponent(session, model.vae);
    expectFinite('autoencoder', 'pictures', [...latents.mean, ...latents.std]);
    const prompts = options.captions ?? photos.map(() => options.prompt);
    const text = await encodePrompts(session, model, prompts.map(filled(options)));
    warnOfTruncated(control, text.truncated);
    expectFinite('text encoder', 'prompts', [text.states, ...(text.pooled ? [text.pooled] : [])]);
    const conditions = await prepareConditions(session, model, text, photos.map(photoTimeIds));
    const { sample, watch } = options;
    const sampleConditions = await encodeGuided(session, parts, sample?.prompts ?? []);
    const [watchConditions = null] = await encodeGuided(session, parts, watch?.samples ? [watch.prompt] : []);
    await keepAlgorithms(session, cacheWarning(control));
    const { engine } = session;
    const peakBytes = engine.memory().peak;
    return { latents, conditions, sampleConditions, watchConditions, peakBytes, algorithms: engine.choices() };
  } finally {
    close();
  }
}

/** @throws NonFiniteError where a model's weights or arithmetic give no usable numbers */
function expectFinite(model: string, inputs: string, values: readonly Float32Array[]): void {
  if (values.every((array) => array.every(Number.isFinite))) return;
  throw new NonFiniteError(`encode: the ${model} gives infinite values or NaN for these ${inputs}`, {
    hint: 'Its weights are damaged: get the model again.',
  });
}

function filled({ token, className }: ResolvedTrainOptions): (prompt: string) => string {
  return (prompt) => fillPrompt(prompt, token, className);
}

async function encodeGuided(
  session: Session,
  { options, model, side, control }: EncodeParts,
  prompts: readonly string[],
): Promise<GenerationConditions[]> {
  const all: GenerationConditions[] = [];
  for (const prompt of prompts.map(filled(options))) {
    const wish = { prompt, guidance: SAMPLE_GUIDANCE, width: side, height: side };
    const conditions = await generationConditions(session, model, wish);
    warnOfTruncated(control, conditions.truncated);
    all.push(conditions);
  }
  return all;
}

function warnOfTruncated({ emit }: RunControl, truncated: readonly string[]): void {
  for (const end of new Set(truncated)) {
    emit({ type: 'warning', code: 'PROMPT_TRUNCATED', message: `a prompt is too long: '${end}' is left out` });
  }
}
