import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '../errors.js';
import { generate } from '../generate/generate.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { loadPhoto, pixelsToSigned } from '../io/image.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { chooseFloat32Device, type DeviceWish } from '../pipeline/device.js';
import { openModel } from '../pipeline/openModel.js';
import type { Precision } from '../pipeline/precision.js';
import { modelOfRun, readRunConfig, runFolder } from '../train/runFolder.js';
import { SIDE } from '../world/canvas.js';
import { fillPrompt, type Prompt, promptSuite } from '../world/prompts.js';
import { conceptOf, conceptReference, oraclePictures, promptedBy } from './conceptReference.js';
import { type Evaluation, evaluatePictures } from './evaluatePictures.js';
import { type Evaluators, openEvaluators } from './evaluators.js';
import type { PromptedPicture, Reference } from './figures.js';
import { galleryOf } from './identities.js';
import { seen } from './reader.js';

export interface EvaluateRunOptions {
  /** Folder of a training run on the mini model. */
  readonly run: string;
  /** Judges the best checkpoint of a run that was watched instead of the last step; default false. */
  readonly best?: boolean | undefined;
  /** Default: the world's 32. */
  readonly prompts?: readonly Prompt[] | undefined;
  /** Pictures for each prompt; default 1. */
  readonly count?: number | undefined;
  /** Sprites beside the other concepts that the subject is told from; default 200. */
  readonly distractors?: number | undefined;
  /** Sampler steps; default 25. */
  readonly steps?: number | undefined;
  /** First seed: picture i of every prompt uses seed + i, with and without the adapter; default 0. */
  readonly seed?: number | undefined;
  readonly threads?: number | undefined;
  /** What computes; default auto. */
  readonly device?: DeviceWish | undefined;
  /** Of the pictures; the evaluators compute in fp32. */
  readonly precision?: Precision | undefined;
  /** Of the pictures, as `generate` has them; the evaluators always take the fixed table. */
  readonly deterministic?: boolean | undefined;
  readonly algorithmCache?: boolean | undefined;
  /** Folder of evaluators; default those of the package. */
  readonly evaluators?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hears after each prompt. */
  readonly onProgress?: ((done: number, all: number) => void) | undefined;
}

export interface RunEvaluation extends Evaluation {
  /** Which of the world's concepts the run was trained on; null: another picture, so there is no oracle and nothing to tell it from. */
  readonly concept: number | null;
}

/** What is needed of a run. */
interface TrainedRun {
  readonly model: { readonly model: string; readonly config?: string };
  readonly adapter: string;
  readonly className: string;
  /** [64, 64, 3] in −1…1 */
  readonly training: Float32Array;
}

async function openRun(dir: string, best: boolean): Promise<TrainedRun> {
  const folder = runFolder(dir);
  const settings = readRunConfig(folder, 'run');
  const { images, className } = settings;
  const model = modelOfRun(settings);
  const source: unknown = Array.isArray(images) ? images[0] : undefined;
  const isFile = typeof source === 'string' && !source.startsWith('sha256:');
  if (typeof settings.model !== 'string' || !isFile || typeof className !== 'string')
    throw new ConfigError(
      `run: expected a run with model, className and the path of a picture in ${folder.configPath}`,
      {
        hint: 'Runs from a picture in memory cannot be evaluated: train from a file.',
      },
    );
  const opened = openModel(model.model, model.config);
  const side =
    (readUnetConfig(opened.unet.config).sampleSize ?? 0) * readAutoencoderConfig(opened.vae.config).downscale;
  if (side !== SIDE)
    throw new ConfigError(
      `run: expected a run on the mini model, whose pictures are ${SIDE}×${SIDE}, got ${side}×${side}`,
      {
        hint: 'The evaluators know only the mini world. Judge runs on other models by eye and by their validation loss.',
      },
    );
  const { pixels } = await loadPhoto(source.startsWith('file:') ? new URL(source) : source, SIDE);
  const adapter = best ? folder.bestPath : folder.adapterPath;
  if (!existsSync(adapter))
    throw new ConfigError(`run: expected ${adapter}, found none`, {
      hint: best
        ? 'Only runs with --watch keep their best checkpoint.'
        : 'The run was stopped before it saved anything.',
    });
  return { model, className, adapter, training: pixelsToSigned(pixels) };
}

/** What a picture that is no concept's is measured against: itself, in the scene that the evaluators see. */
export async function ownReference(evaluators: Evaluators, training: Float32Array): Promise<Reference> {
  const [reading] = await evaluators.read([training]);
  const scene = { background: seen(reading!, 'background'), position: seen(reading!, 'position') };
  return { training: { image: training }, scene, views: [] };
}

/** Pictures for every prompt, saved below `dir`. */
async function picturesFor(
  run: TrainedRun,
  options: EvaluateRunOptions,
  { dir, adapted, onPrompt }: { dir: string; adapted: boolean; onPrompt: () => void },
): Promise<PromptedPicture[]> {
  const { count = 1, steps = 25, seed = 0, threads, device, precision, signal, prompts = promptSuite() } = options;
  const { deterministic, algorithmCache } = options;
  const all: PromptedPicture[] = [];
  const one = async (prompt: Prompt, index: number): Promise<void> => {
    const { pictures } = await generate({
      ...run.model,
      ...(adapted ? { adapter: run.adapter } : {}),
      prompt: adapted ? prompt.template : fillPrompt(prompt.template, run.className),
      ...{ count, steps, seed, threads, device, precision, deterministic, algorithmCache, signal, size: SIDE },
      outputDir: join(dir, String(index).padStart(2, '0')),
    });
    for (const { path } of pictures) {
      const { pixels } = await loadPhoto(path, SIDE);
      all.push(promptedBy(prompt, run.className, pixelsToSigned(pixels)));
    }
    onPrompt();
  };
  for (const [index, prompt] of prompts.entries()) await one(prompt, index);
  return all;
}

/**
 * Makes pictures with a run's adapter and without for prompts, from the same noise, and judges both. Pictures and
 * `evaluation.json` go to `evaluation/` in the run's folder, those of the best checkpoint to `evaluation-best/`.
 * @throws (by rejecting) ConfigError for no evaluators, no run, or a run on another model; and what `generate` throws
 */
export async function evaluateRun(options: EvaluateRunOptions): Promise<RunEvaluation> {
  const {
    threads = availableParallelism(),
    count = 1,
    distractors = 200,
    prompts = promptSuite(),
    onProgress,
  } = options;
  const { best = false, signal } = options;
  const run = await openRun(options.run, best);
  const reading = chooseFloat32Device(options.device ?? 'auto', { threads });
  const evaluators = await openEvaluators({ dir: options.evaluators, device: reading });
  try {
    const concept = conceptOf(run.training);
    const reference = concept === null ? await ownReference(evaluators, run.training) : conceptReference(concept);
    const dir = join(options.run, best ? 'evaluation-best' : 'evaluation');
    let done = 0;
    const onPrompt = (): void => onProgress?.(++done, 2 * prompts.length);
    const pictures = await picturesFor(run, options, { dir: join(dir, 'pictures'), adapted: true, onPrompt });
    const floor = await picturesFor(run, options, { dir: join(dir, 'floor'), adapted: false, onPrompt });
    const evaluation = await evaluatePictures({
      evaluators,
      pictures,
      reference,
      floor,
      oracle: concept === null ? undefined : oraclePictures(concept, prompts, count),
      others: concept === null ? [] : await galleryOf(evaluators, concept, { views: 16, distractors }),
    });
    signal?.throwIfAborted();
    mkdirSync(dir, { recursive: true });
    const all = { concept, ...evaluation };
    await writeFileAtomic(join(dir, 'evaluation.json'), `${JSON.stringify(all, null, 2)}\n`);
    return all;
  } finally {
    evaluators.dispose();
  }
}
