import { z } from 'zod';
import { ConfigError } from '../errors.js';
import { checkOptions } from '../options/checkOptions.js';
import { flag, oneOf, text, whole } from '../options/fields.js';

/** Layouts that adapters can be written in. */
export type AdapterFormat = 'kohya' | 'peft' | 'diffusers' | 'official' | 'tlora';

/** Options of `convertAdapter`; `adapter`, `to` and `out` are required. */
export interface ConvertOptions {
  /** An adapter file of tlora or of another program (docs/adapters.md). */
  adapter: string;
  to: AdapterFormat;
  /** The file to write. */
  out: string;
  /** Model folder or single file, as in `generate`; needed for files of other programs, for starts from the weights, and to write tlora's layout. */
  model?: string | undefined;
  /** With a single file: as in `generate`. */
  config?: string | undefined;
  /** Most components of a layer in the plain LoRA; default: all that it takes to lose nothing. */
  rank?: number | undefined;
  /** Only the first components, as the mask has them at some timestep; default: all. */
  atRank?: number | undefined;
  /** Type of the values; default float32. */
  dtype?: 'float32' | 'float16' | 'bfloat16' | undefined;
  /** Replaces `out`; default false. */
  overwrite?: boolean | undefined;
  /** Leaves out what the adapter has for text encoders; default false. */
  unetOnly?: boolean | undefined;
  /** For a T-LoRA of LyCORIS: as in `generate`. */
  components?: 'last' | 'middle' | 'principal' | undefined;
}

type Optional = 'model' | 'config' | 'rank' | 'atRank' | 'components';

/** Options with every default filled in. */
export type ResolvedConvertOptions = {
  [K in keyof Omit<ConvertOptions, Optional>]-?: Exclude<ConvertOptions[K], undefined>;
} & Pick<ConvertOptions, Optional>;

const schema = z.strictObject({
  adapter: text,
  to: oneOf(['kohya', 'peft', 'diffusers', 'official', 'tlora']),
  out: text,
  model: text.optional(),
  config: text.optional(),
  rank: whole(1).optional(),
  atRank: whole(1).optional(),
  dtype: oneOf(['float32', 'float16', 'bfloat16']).default('float32'),
  overwrite: flag.default(false),
  unetOnly: flag.default(false),
  components: oneOf(['last', 'middle', 'principal']).optional(),
});

/** Names of all options, for the command line. */
export const convertOptionNames: readonly string[] = Object.keys(schema.shape);

/** Whether a layout holds plain LoRA only: other programs' own. */
export function isPlainFormat(to: AdapterFormat): to is 'kohya' | 'peft' | 'diffusers' {
  return to !== 'official' && to !== 'tlora';
}

/**
 * Checks options and fills in defaults.
 * @throws ConfigError
 */
export function resolveConvertOptions(given: ConvertOptions): ResolvedConvertOptions {
  const options = checkOptions('convertAdapter', schema, given);
  const { to, rank, atRank, dtype } = options;
  const name = rank === undefined ? 'atRank' : 'rank';
  if (!isPlainFormat(to) && (rank ?? atRank) !== undefined) {
    throw new ConfigError(
      `${name}: expected none with the layout ${to}, which holds T-LoRA itself, got ${rank ?? atRank}`,
    );
  }
  if (to === 'official' && dtype !== 'float32') {
    throw new ConfigError(`dtype: expected float32 with the layout official, got ${dtype}`);
  }
  return options;
}
