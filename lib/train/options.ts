import { z } from 'zod';
import { ConfigError } from '../errors.js';
import { checkOptions } from '../options/checkOptions.js';
import { atLeast, device, flag, oneOf, positive, precision, signal, text, whole } from '../options/fields.js';
import type { DeviceWish } from '../pipeline/device.js';
import type { Precision } from '../pipeline/precision.js';
import { parseByteSize } from '../plan/byteSize.js';
import type { StepEvent, TrainEvent } from './events.js';

const picture = z.union([text, z.instanceof(URL), z.instanceof(Uint8Array)], {
  error: 'expected a path, a file URL or the bytes of a picture',
});

const schema = z.strictObject({
  model: text,
  config: text.optional(),
  image: picture.optional(),
  images: z.array(picture).min(1, 'expected at least one picture').optional(),
  captions: z.array(text).optional(),
  className: text,
  token: text.default('sks'),
  prompt: text.default('a photo of {0}'),
  variant: oneOf(['lora', 'vanilla', 'ortho', 'tlora']).default('tlora'),
  start: oneOf(['random', 'weight']).default('random'),
  components: oneOf(['last', 'middle', 'principal']).default('last'),
  frames: oneOf(['haar', 'reference']).default('haar'),
  orthogonal: oneOf(['init', 'retract']).default('init'),
  rank: whole(1).default(64),
  minRank: whole(0).optional(),
  alpha: positive.default(1),
  steps: whole(1).optional(),
  learningRate: positive.default(1e-4),
  weightDecay: atLeast(0).default(1e-4),
  batch: whole(1).default(1),
  accumulate: whole(1).default(1),
  clip: positive.optional(),
  seed: whole(0).default(0),
  resolution: whole(64).optional(),
  threads: whole(1).optional(),
  device: device.default('auto'),
  precision: precision.optional(),
  deterministic: flag.default(false),
  algorithmCache: flag.default(true),
  memory: z.union([text, positive]).optional(),
  saveEvery: whole(1).optional(),
  sample: z.strictObject({ every: whole(1), prompts: z.array(text).min(1, 'expected at least one prompt') }).optional(),
  watch: z
    .union([
      flag,
      z.strictObject({
        every: whole(1).optional(),
        draws: whole(1).default(2),
        samples: whole(0).default(0),
        prompt: text.optional(),
      }),
    ])
    .default(false),
  outputDir: text.default('runs/tlora'),
  compact: flag.default(false),
  dtype: oneOf(['float32', 'float16', 'bfloat16']).default('float32'),
  resume: flag.default(false),
  overwrite: flag.default(false),
  signal: signal.optional(),
  onStep: z.custom<(event: StepEvent) => void>((v) => typeof v === 'function', 'expected a function').optional(),
  onEvent: z.custom<(event: TrainEvent) => void>((v) => typeof v === 'function', 'expected a function').optional(),
});

/** A picture: a path, a file URL, or the bytes of a PNG, JPEG, WebP or AVIF file. */
export type PictureSource = string | URL | Uint8Array;

/** Options of `train`; only `model`, `className` and one of `image` and `images` are required. */
export interface TrainOptions {
  /** Model folder in diffusers layout, or a single .safetensors file in the original layout. */
  model: string;
  /** With a single file: a folder in diffusers layout with its tokenizers, and the configs that its keys and shapes do not tell. */
  config?: string | undefined;
  image?: PictureSource | undefined;
  images?: PictureSource[] | undefined;
  /** One prompt for each picture instead of `prompt`. */
  captions?: string[] | undefined;
  /** What the picture shows, such as `dog`. */
  className: string;
  /** The rare word that will stand for the subject; default `sks`. */
  token?: string | undefined;
  /** `{0}` stands for "token class"; default `a photo of {0}`. */
  prompt?: string | undefined;
  /** lora: no mask; vanilla: masked LoRA; ortho: orthogonal start, no mask; tlora: both, the default. */
  variant?: 'lora' | 'vanilla' | 'ortho' | 'tlora' | undefined;
  /** Where an orthogonal start comes from: a random matrix (default) or the layer's weight. */
  start?: 'random' | 'weight' | undefined;
  /** Which singular components an orthogonal start takes; default last. */
  components?: 'last' | 'middle' | 'principal' | undefined;
  /** Distribution of random frames: Haar (default), or what the authors' code draws for rectangular layers. */
  frames?: 'haar' | 'reference' | undefined;
  /** init: only the start is orthogonal (default); retract: QR after each optimizer step. */
  orthogonal?: 'init' | 'retract' | undefined;
  /** Components of each adapter; default 64. */
  rank?: number | undefined;
  /** Components that are active at the highest noise; default half the rank. */
  minRank?: number | undefined;
  /** Exponent of the rank schedule; default 1. */
  alpha?: number | undefined;
  /** Optimizer steps; default 800 for tlora and ortho, 500 for lora and vanilla. */
  steps?: number | undefined;
  /** Default 1e-4. */
  learningRate?: number | undefined;
  /** Default 1e-4. */
  weightDecay?: number | undefined;
  /** Samples a step; default 1. */
  batch?: number | undefined;
  /** Batches summed into one optimizer step; default 1. */
  accumulate?: number | undefined;
  /** Largest norm of the gradient; default: no clipping. */
  clip?: number | undefined;
  /** A whole number below 2⁵³; default 0. */
  seed?: number | undefined;
  /** Side of the square training picture in pixels; default the model's own. */
  resolution?: number | undefined;
  /** CPU threads; default all cores. */
  threads?: number | undefined;
  /** What computes: `auto` is the first CUDA device that can be used, else the CPU; default auto. */
  device?: DeviceWish | undefined;
  /** How numbers are kept and multiplied; default bf16 on CUDA; the CPU has fp32 only. */
  precision?: Precision | undefined;
  /**
   * On CUDA: takes the algorithms of a fixed table, the same on every machine with that device and those libraries, instead of trying which are
   * fastest; default false.
   */
  deterministic?: boolean | undefined;
  /** Whether the algorithms that were found fastest on this machine are kept in the user's cache, and taken from there; default true. */
  algorithmCache?: boolean | undefined;
  /** Everything tlora may allocate, such as '9GB' or '8GiB', or bytes; less than needed is met by recomputing. */
  memory?: string | number | undefined;
  /** Saves a checkpoint every so many steps. */
  saveEvery?: number | undefined;
  /** Pictures made during training. */
  sample?: { every: number; prompts: string[] } | undefined;
  /**
   * The overfit meter: losses with fixed noise, when copying starts, and the best checkpoint. true for all defaults. every: steps between,
   * default a twentieth of all; draws: in each of 5 bands of timesteps, default 2; samples: pictures made each time, default none; prompt: of
   * these, default `prompt`.
   */
  watch?:
    | boolean
    | {
        every?: number | undefined;
        draws?: number | undefined;
        samples?: number | undefined;
        prompt?: string | undefined;
      }
    | undefined;
  /** Default `runs/tlora`. */
  outputDir?: string | undefined;
  /** Writes only the seed of an orthogonal start into the adapter file, not the start itself. */
  compact?: boolean | undefined;
  /** Type of the adapter file; default float32. */
  dtype?: 'float32' | 'float16' | 'bfloat16' | undefined;
  /** Goes on from the checkpoint in `outputDir`. */
  resume?: boolean | undefined;
  /** Allows an `outputDir` that holds an earlier run of tlora, and replaces that run's files. */
  overwrite?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onStep?: ((event: StepEvent) => void) | undefined;
  onEvent?: ((event: TrainEvent) => void) | undefined;
}

type Optional =
  | 'config'
  | 'captions'
  | 'clip'
  | 'resolution'
  | 'threads'
  | 'precision'
  | 'saveEvery'
  | 'sample'
  | 'signal'
  | 'onStep'
  | 'onEvent';
type Settled = Omit<TrainOptions, Optional | 'image' | 'images' | 'memory' | 'watch'>;

/** How a run is watched. */
export interface ResolvedWatch {
  readonly every: number;
  readonly draws: number;
  readonly samples: number;
  /** With {0} for the subject. */
  readonly prompt: string;
}

/** Options with every default filled in. `image` has become `images`, `memory` bytes. */
export type ResolvedTrainOptions = { [K in keyof Settled]-?: Exclude<Settled[K], undefined> } & Pick<
  TrainOptions,
  Optional
> & { images: PictureSource[]; memory: number | undefined; watch: ResolvedWatch | undefined };

/** Names of all options, for the command line. */
export const trainOptionNames: readonly string[] = Object.keys(schema.shape);

const isMasked = (variant: ResolvedTrainOptions['variant']): boolean => variant === 'vanilla' || variant === 'tlora';

/**
 * Checks options and fills in defaults: minRank is half the rank for masked variants and the rank for others; steps are 800 for
 * orthogonal starts and 500 for others (arXiv 2507.05964).
 * @throws ConfigError
 */
export function resolveTrainOptions(given: TrainOptions): ResolvedTrainOptions {
  const { image, images, memory, minRank, steps: wanted, watch, ...rest } = checkOptions('train', schema, given);
  if ((image === undefined) === (images === undefined)) {
    throw new ConfigError(`image: expected one of image and images, got ${image === undefined ? 'neither' : 'both'}`);
  }
  const all = images ?? [image!];
  if (rest.captions && rest.captions.length !== all.length) {
    throw new ConfigError(`captions: expected one for each of ${all.length} pictures, got ${rest.captions.length}`);
  }
  const steps = wanted ?? (rest.variant === 'tlora' || rest.variant === 'ortho' ? 800 : 500);
  const resolved = {
    ...rest,
    images: all,
    minRank: isMasked(rest.variant) ? (minRank ?? Math.floor(rest.rank / 2)) : rest.rank,
    steps,
    watch: watch ? resolvedWatch(watch === true ? { draws: 2, samples: 0 } : watch, steps, rest.prompt) : undefined,
    memory: memory === undefined ? undefined : parseByteSize(memory, 'memory'),
  };
  checkRelations(resolved, { minRank, watchPrompt: typeof watch === 'object' ? watch.prompt : undefined });
  return resolved;
}

/** A twentieth of the steps. */
const WATCHES = 20;

function resolvedWatch(
  watch: Omit<ResolvedWatch, 'every' | 'prompt'> & { every?: number | undefined; prompt?: string | undefined },
  steps: number,
  prompt: string,
): ResolvedWatch {
  return { ...watch, every: watch.every ?? Math.max(1, Math.round(steps / WATCHES)), prompt: watch.prompt ?? prompt };
}

/** What was given where the settled options also hold defaults. */
interface Given {
  readonly minRank: number | undefined;
  readonly watchPrompt: string | undefined;
}

function checkRelations(options: ResolvedTrainOptions, { minRank: givenMinRank, watchPrompt }: Given): void {
  const { rank } = options;
  if (options.watch && options.watch.samples === 0 && watchPrompt !== undefined) {
    throw new ConfigError(`watch.prompt: expected none, as no pictures are watched, got '${watchPrompt}'`, {
      hint: 'Say how many pictures by watch.samples (--watch-samples).',
    });
  }
  if (options.resume && options.overwrite) {
    throw new ConfigError('overwrite: expected false together with resume, got true', {
      hint: 'resume goes on with the run in the folder, overwrite replaces it: choose one.',
    });
  }
  if (givenMinRank !== undefined && givenMinRank > rank) {
    throw new ConfigError(`minRank: expected at most the rank, ${rank}, got ${givenMinRank}`);
  }
  checkVariant(options, givenMinRank);
  if (!options.prompt.includes('{0}') && !options.captions) {
    throw new ConfigError(
      `prompt: expected a text with {0}, which stands for token and class, got '${options.prompt}'`,
    );
  }
}

/** Refuses what would have no effect: options of a mask or of an orthogonal start, of which the variant has none. */
function checkVariant(options: ResolvedTrainOptions, givenMinRank: number | undefined): void {
  const { variant, rank, alpha, start, components, frames, orthogonal, compact } = options;
  const refuse = (given: Readonly<Record<string, unknown>>, why: string, hint: string): void => {
    const [name] = Object.keys(given).filter((key) => given[key] !== undefined);
    if (name !== undefined) throw new ConfigError(`${name}: expected none, as ${why}, got ${given[name]}`, { hint });
  };
  const unless = <T>(value: T, usual: T): T | undefined => (value === usual ? undefined : value);
  if (!isMasked(variant)) {
    const mask = { minRank: unless(givenMinRank, rank), alpha: unless(alpha, 1) };
    refuse(mask, `the variant '${variant}' has no mask`, "Use the variant 'vanilla' or 'tlora'.");
  }
  if (variant === 'lora' || variant === 'vanilla') {
    const ofStart = {
      start: unless(start, 'random'),
      components: unless(components, 'last'),
      frames: unless(frames, 'haar'),
      orthogonal: unless(orthogonal, 'init'),
      compact: unless(compact, false),
    };
    refuse(ofStart, `the variant '${variant}' has no orthogonal start`, "Use the variant 'ortho' or 'tlora'.");
  }
  if (start === 'weight') {
    const random = { frames: unless(frames, 'haar') };
    refuse(random, "the start 'weight' has the frames of the weights", "Use the start 'random'.");
  }
}

/** A prompt with `{0}` replaced by "token class". */
export function fillPrompt(prompt: string, token: string, className: string): string {
  return prompt.replaceAll('{0}', () => `${token} ${className}`);
}
