import { z } from 'zod';
import { ConfigError } from '../errors.js';
import { checkOptions } from '../options/checkOptions.js';
import { atLeast, device, flag, oneOf, precision, signal, text, whole } from '../options/fields.js';
import type { DeviceInfo, DeviceWish } from '../pipeline/device.js';
import type { Precision } from '../pipeline/precision.js';
import { parseByteSize } from '../plan/byteSize.js';

/** What `generate` tells while it goes on. */
export type GenerateEvent =
  | {
      readonly type: 'device';
      readonly device: DeviceInfo;
      readonly reason: string;
      readonly precision: Precision;
    }
  | { readonly type: 'phase'; readonly phase: 'load' | 'encode' | 'sample' | 'decode' | 'save' }
  | {
      readonly type: 'step';
      /** 0 for the first picture. */
      readonly picture: number;
      readonly pictures: number;
      /** 1 for the first sampler step. */
      readonly step: number;
      readonly steps: number;
      readonly stepMs: number;
      readonly etaMs: number;
    }
  | { readonly type: 'picture'; readonly picture: number; readonly path: string }
  | { readonly type: 'warning'; readonly code: string; readonly message: string };

/** Options of `generate`; only `model` and `prompt` are required. */
export interface GenerateOptions {
  /** Model folder in diffusers layout, or a single .safetensors file in the original layout. */
  model: string;
  /** With a single file: a folder in diffusers layout with its tokenizers, and the configs that its keys and shapes do not tell. */
  config?: string | undefined;
  /** `adapter.safetensors` of a run, or an adapter file of another program (docs/adapters.md); none: the model alone. */
  adapter?: string | undefined;
  /** `{0}` stands for the adapter's "token class". */
  prompt: string;
  negativePrompt?: string | undefined;
  /** Number of pictures; default 1. Picture i uses seed + i. */
  count?: number | undefined;
  /** Sampler steps; default 25. */
  steps?: number | undefined;
  /** Classifier-free guidance scale; default 5; 1 switches guidance off. */
  guidance?: number | undefined;
  /** A whole number below 2⁵³; default 0. */
  seed?: number | undefined;
  /** Side in pixels, or both sides; default as the adapter was trained, else the model's own. */
  size?: number | { width: number; height: number } | undefined;
  /** Factor on the adapter's change; default 1. */
  strength?: number | undefined;
  sampler?: 'euler' | 'ddim' | 'dpmpp2m' | undefined;
  /** Noise levels of Karras et al.; default false. */
  karras?: boolean | undefined;
  threads?: number | undefined;
  /** What computes: `auto` is the first CUDA device that can be used, else the CPU; default auto. */
  device?: DeviceWish | undefined;
  /** How numbers are kept and multiplied; default bf16 on CUDA; the CPU has fp32 only. */
  precision?: Precision | undefined;
  /** On CUDA: the algorithms of a fixed table instead of those that are found fastest, as `train` has it; default false. */
  deterministic?: boolean | undefined;
  /** Whether the algorithms that were found fastest are kept in the user's cache; default true. */
  algorithmCache?: boolean | undefined;
  /** Everything tlora may allocate, such as '9GB'. */
  memory?: string | number | undefined;
  /** Folder for the PNG files; default `pictures`. */
  outputDir?: string | undefined;
  /** Uses an adapter although it was trained on another base model. */
  force?: boolean | undefined;
  /** Leaves out what an adapter has for text encoders; default false. */
  unetOnly?: boolean | undefined;
  /** For a T-LoRA of LyCORIS: the components of the layers' weights from which it started; default what the file says. */
  components?: 'last' | 'middle' | 'principal' | undefined;
  signal?: AbortSignal | undefined;
  onEvent?: ((event: GenerateEvent) => void) | undefined;
}

type Optional = 'config' | 'adapter' | 'components' | 'negativePrompt' | 'threads' | 'precision' | 'signal' | 'onEvent';
type Settled = Omit<GenerateOptions, Optional | 'size' | 'memory'>;

/** Options with every default filled in. */
export type ResolvedGenerateOptions = { [K in keyof Settled]-?: Exclude<Settled[K], undefined> } & Pick<
  GenerateOptions,
  Optional
> & { size: { width: number; height: number } | undefined; memory: number | undefined };

const side = whole(8);
/** Their latents lie in memory together. */
const MOST_PICTURES = 100_000;

const schema = z.strictObject({
  model: text,
  config: text.optional(),
  adapter: text.optional(),
  prompt: z.string({ error: 'expected a text' }),
  negativePrompt: z.string({ error: 'expected a text' }).optional(),
  count: whole(1).max(MOST_PICTURES, `expected at most ${MOST_PICTURES}`).default(1),
  steps: whole(1).default(25),
  guidance: atLeast(1).default(5),
  seed: whole(0).default(0),
  size: z
    .union([side, z.strictObject({ width: side, height: side })], {
      error: 'expected a side in pixels, or width and height',
    })
    .optional(),
  strength: z.number({ error: 'expected a number' }).default(1),
  sampler: oneOf(['euler', 'ddim', 'dpmpp2m']).default('euler'),
  karras: flag.default(false),
  threads: whole(1).optional(),
  device: device.default('auto'),
  precision: precision.optional(),
  deterministic: flag.default(false),
  algorithmCache: flag.default(true),
  memory: z.union([text, atLeast(1)]).optional(),
  outputDir: text.default('pictures'),
  force: flag.default(false),
  unetOnly: flag.default(false),
  components: oneOf(['last', 'middle', 'principal']).optional(),
  signal: signal.optional(),
  onEvent: z.custom<(event: GenerateEvent) => void>((v) => typeof v === 'function', 'expected a function').optional(),
});

/** Names of all options, for the command line. */
export const generateOptionNames: readonly string[] = Object.keys(schema.shape);

/** Refuses what only an adapter would heed where there is none. */
function checkAdapterOptions(
  given: Pick<ResolvedGenerateOptions, 'adapter' | 'strength' | 'force' | 'unetOnly' | 'components'>,
): void {
  const { adapter, strength, components, ...flags } = given;
  const heeded = {
    strength: strength === 1 ? undefined : strength,
    components,
    force: flags.force || undefined,
    unetOnly: flags.unetOnly || undefined,
  };
  const [first] = Object.entries(heeded).filter(([, value]) => value !== undefined);
  if (adapter !== undefined || first === undefined) return;
  throw new ConfigError(`${first[0]}: expected none, as there is no adapter, got ${first[1]}`);
}

/**
 * Checks options and fills in defaults.
 * @throws ConfigError
 */
export function resolveGenerateOptions(given: GenerateOptions): ResolvedGenerateOptions {
  const { size, memory, ...rest } = checkOptions('generate', schema, given);
  const { guidance, negativePrompt, seed, count } = rest;
  checkAdapterOptions(rest);
  if (guidance === 1 && negativePrompt) {
    throw new ConfigError(`negativePrompt: expected none, as guidance is off, got '${negativePrompt}'`, {
      hint: 'Give a guidance above 1.',
    });
  }
  if (seed > Number.MAX_SAFE_INTEGER - (count - 1)) {
    throw new ConfigError(`seed: expected seed + count below 2⁵³, got ${seed} + ${count}`);
  }
  return {
    ...rest,
    size: typeof size === 'number' ? { width: size, height: size } : size,
    memory: memory === undefined ? undefined : parseByteSize(memory, 'memory'),
  };
}
