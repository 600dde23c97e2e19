import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors.js';
import { readJsonObject } from './jsonFile.js';
import { expectClass, isFolder, modelKind, readModelIndex, zerosForEmptyPrompt } from './modelIndex.js';
import { FAMILY_NAMES, type OriginalFile } from './originalFile.js';
import type { ComponentName } from './renamedKeys.js';

/** What a folder in diffusers layout adds to a single file: the tokenizers, and the configs that it has. */
export interface ConfigFolder {
  /** A component's config.json; undefined: the folder has none. */
  config(name: ComponentName): Record<string, unknown> | undefined;
  /** Its scheduler_config.json; undefined: the folder has none. */
  readonly scheduler: Record<string, unknown> | undefined;
  readonly tokenizer: string;
  /** SDXL only. */
  readonly tokenizer2: string | undefined;
  readonly zerosForEmptyPrompt: boolean;
}

/**
 * Opens the folder that goes with a single file. It is laid out like a model folder; only its tokenizers are required.
 * @throws ConfigError that says what to put where; FileFormatError for a file in it that cannot be read
 */
export function openConfigFolder(dir: string | undefined, file: OriginalFile): ConfigFolder {
  const isXl = file.family === 'sdxl';
  if (dir === undefined) {
    const more = isXl ? ', and the same in tokenizer_2' : '';
    throw new ConfigError(`config: expected a folder with the tokenizer of ${file.path}, got none`, {
      hint: `A single file has no tokenizer. Give --config DIR: a folder with vocab.json and merges.txt in its subfolder tokenizer${more}, such as a ${FAMILY_NAMES[file.family]} folder in diffusers layout; its weights are not needed.`,
    });
  }
  if (!isFolder(dir)) throw new ConfigError(`config: expected a folder, got '${dir}', which is none`);
  const index = readModelIndex(dir);
  const kind = isXl ? 'sdxl' : 'sd';
  if (index && modelKind(dir, index) !== kind) {
    throw new ConfigError(
      `config: expected a folder of ${FAMILY_NAMES[file.family]}, as ${file.path} is, got '${dir}'`,
    );
  }
  const json = (...path: string[]): Record<string, unknown> | undefined =>
    existsSync(join(dir, ...path)) ? readJsonObject(join(dir, ...path)) : undefined;
  return {
    config: (name) => {
      if (index) expectClass(dir, index, name);
      return json(name, 'config.json');
    },
    scheduler: json('scheduler', 'scheduler_config.json'),
    tokenizer: tokenizerFolder(dir, 'tokenizer'),
    tokenizer2: isXl ? tokenizerFolder(dir, 'tokenizer_2') : undefined,
    zerosForEmptyPrompt: zerosForEmptyPrompt(kind, index),
  };
}

function tokenizerFolder(dir: string, name: string): string {
  const folder = join(dir, name);
  const missing = ['vocab.json', 'merges.txt'].filter((file) => !existsSync(join(folder, file)));
  if (missing.length === 0 || existsSync(join(folder, 'tokenizer.json'))) return folder;
  throw new ConfigError(`config: expected ${missing.join(' and ')} in ${folder}, got none`, {
    hint: `Copy the folder ${name} of this model, or of the one that it was made from, in diffusers layout.`,
  });
}
