import { existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { ConfigError } from '../errors.js';
import { expectWritable, makeFolder } from '../io/outputFolder.js';
import { type ConvertOptions, isPlainFormat, resolveConvertOptions } from './options.js';
import { convertToOfficial, convertToTlora } from './own.js';
import { convertToPlain, type Written } from './plain.js';
import { openSource } from './source.js';

export interface ConvertResult extends Written {
  /** Of the file. */
  readonly path: string;
}

/**
 * Writes an adapter in another layout. Files appear whole or not at all.
 *
 * `kohya`, `peft` and `diffusers` are plain LoRA without a mask; an orthogonal adapter of rank R becomes one of rank 2R that loses nothing,
 * or with `rank` the nearest one of that rank. `official` is the T-LoRA authors' layout, `tlora` that of this package.
 * @throws (by rejecting) ConfigError, FileFormatError, FileWriteError; NativeAddonError where a start has to be drawn
 */
export async function convertAdapter(given: ConvertOptions): Promise<ConvertResult> {
  const options = resolveConvertOptions(given);
  const { out, adapter, to, overwrite } = options;
  if (existsSync(out)) {
    if (existsSync(adapter) && realpathSync(out) === realpathSync(adapter)) {
      throw new ConfigError(`out: expected another file than the adapter, got ${out}`);
    }
    if (!overwrite) {
      throw new ConfigError(`out: expected a file that does not exist, got ${out}`, {
        hint: 'Use --overwrite to replace it, or choose another --out.',
      });
    }
  }
  expectWritable(dirname(out));
  const source = await openSource(options);
  makeFolder(dirname(out));
  const convert = isPlainFormat(to) ? convertToPlain : to === 'official' ? convertToOfficial : convertToTlora;
  return { path: out, ...(await convert(source, options)) };
}
