// Alpha as PEFT and diffusers write it: `lora_adapter_metadata` in the header, JSON of a LoraConfig whose fields have the model's prefix
// or none; or, for PEFT's own folders, `adapter_config.json` beside `adapter_model.safetensors`.
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FileFormatError } from '../errors.js';
import { readJsonObject } from '../io/jsonFile.js';
import type { AdaptedModel } from './modelLayers.js';
import type { ScaleOf } from './plainFile.js';

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The config's fields, and where they were found. */
function configOf(path: string, metadata: Readonly<Record<string, string>>): { where: string; fields: Fields } | null {
  const text = metadata.lora_adapter_metadata;
  if (text !== undefined) {
    const where = 'metadata lora_adapter_metadata';
    const fields = parsed(text);
    if (!isObject(fields)) throw wrong(path, where, 'a JSON object', text.slice(0, 40));
    return { where, fields };
  }
  const beside = join(dirname(path), 'adapter_config.json');
  if (basename(path) !== 'adapter_model.safetensors' || !existsSync(beside)) return null;
  return { where: beside, fields: readJsonObject(beside) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function wrong(path: string, where: string, expected: string, got: unknown): FileFormatError {
  return new FileFormatError(`[adapter] ${path}: ${where}: expected ${expected}, got ${JSON.stringify(got)}`, {
    hint: 'The file is damaged, or was changed after it was saved.',
  });
}

/**
 * Scales from the config of a file: alpha/r, or alpha/√r with `use_rslora`, where alpha is the entry of `alpha_pattern` whose
 * pattern the end of the layer's path fits, else `lora_alpha`. r is the rank of the layer's factors.
 * @throws FileFormatError for a config that cannot be used
 */
export function peftAlphas(path: string, metadata: Readonly<Record<string, string>>, model: AdaptedModel): ScaleOf {
  const config = configOf(path, metadata);
  if (!config) return () => null;
  const { where, fields } = config;
  const field = (name: string): unknown => fields[`${model}.${name}`] ?? (model === 'unet' ? fields[name] : undefined);
  if (field('use_dora') === true) throw wrong(path, `${where}: use_dora`, 'LoRA', 'DoRA');
  const number = (name: string, value: unknown): number => {
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw wrong(path, `${where}: ${name}`, 'a finite number', value);
  };
  const alpha = field('lora_alpha');
  const patterns = field('alpha_pattern') ?? {};
  if (!isObject(patterns)) throw wrong(path, `${where}: alpha_pattern`, 'an object', patterns);
  const ends = Object.entries(patterns).map(([pattern, value]) => ({
    fits: patternOf(path, where, pattern),
    alpha: number(`alpha_pattern '${pattern}'`, value),
  }));
  const root = field('use_rslora') === true;
  return (layer, rank) => {
    const own = ends.find(({ fits }) => fits.test(layer))?.alpha ?? alpha;
    return own === undefined ? null : number('lora_alpha', own) / (root ? Math.sqrt(rank) : rank);
  };
}

/** PEFT takes keys of its patterns for regular expressions that must fit the end of a path from a dot on. */
function patternOf(path: string, where: string, pattern: string): RegExp {
  try {
    return new RegExp(`^(?:.*\\.)?(?:${pattern})$`);
  } catch {
    throw wrong(path, `${where}: alpha_pattern`, 'a regular expression', pattern);
  }
}
