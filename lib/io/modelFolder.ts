import { join } from 'node:path';
import { FileFormatError } from '../errors.js';
import { readComponentTensors } from './componentFiles.js';
import { readJsonObject } from './jsonFile.js';
import {
  expectClass,
  isFolder,
  type ModelIndex,
  type ModelKind,
  modelKind,
  readModelIndex,
  zerosForEmptyPrompt,
} from './modelIndex.js';
import { type ComponentName, canonicalTensors } from './renamedKeys.js';
import type { TensorRef } from './safetensorsHeader.js';

export type { ComponentName } from './renamedKeys.js';

/** One model of a pipeline. */
export interface Component {
  name: ComponentName;
  /** Its config.json. */
  config: Record<string, unknown>;
  /**
   * By canonical key: today's diffusers names; text encoders with the prefix `text_model.`, `text_projection.weight`
   * without.
   */
  tensors: Map<string, TensorRef>;
}

/** The files of a pipeline: its configs, and where its weights lie. */
export interface ModelFiles {
  /** The folder, or the single file. */
  path: string;
  kind: ModelKind;
  /** An empty negative prompt stands for states of zeros. */
  zerosForEmptyPrompt: boolean;
  unet: Component;
  vae: Component;
  textEncoder: Component;
  /** SDXL only, as `tokenizer2`. */
  textEncoder2?: Component;
  /** A folder for `loadTokenizer`. */
  tokenizer: string;
  tokenizer2?: string;
  /** Its scheduler_config.json. */
  scheduler: Record<string, unknown>;
}

/**
 * Opens a Stable Diffusion 1.x, 2.x or XL folder as diffusers saves it: reads the configs and the headers of the weight
 * files, no weights. Only what training and sampling need is opened; safety_checker and feature_extractor are not.
 *
 * @throws FileFormatError naming the file or folder that is missing or wrong.
 */
export function openModelFolder(dir: string): ModelFiles {
  const index = readIndex(dir);
  const kind = modelKind(dir, index);
  const parts = {
    path: dir,
    kind,
    zerosForEmptyPrompt: zerosForEmptyPrompt(kind, index),
    unet: openComponent(dir, index, 'unet'),
    vae: openComponent(dir, index, 'vae'),
    textEncoder: openComponent(dir, index, 'text_encoder'),
    tokenizer: subfolder(dir, 'tokenizer'),
    scheduler: readJsonObject(join(subfolder(dir, 'scheduler'), 'scheduler_config.json')),
  };
  if (kind === 'sd') return parts;
  return {
    ...parts,
    textEncoder2: openComponent(dir, index, 'text_encoder_2'),
    tokenizer2: subfolder(dir, 'tokenizer_2'),
  };
}

function readIndex(dir: string): ModelIndex {
  const index = readModelIndex(dir);
  if (index) return index;
  const hint =
    'Give the folder of a Stable Diffusion 1.5, 2.x or XL model in diffusers layout, the one that holds model_index.json, unet, vae and text_encoder; or a single .safetensors file with --config.';
  const what = isFolder(dir) ? 'is not a model folder: it has no model_index.json' : 'does not exist';
  throw new FileFormatError(`model: ${dir} ${what}`, { hint });
}

function openComponent(dir: string, index: ModelIndex, name: ComponentName): Component {
  expectClass(dir, index, name);
  const folder = subfolder(dir, name);
  const config = readJsonObject(join(folder, 'config.json'));
  const stem = name === 'unet' || name === 'vae' ? 'diffusion_pytorch_model' : 'model';
  return { name, config, tensors: canonicalTensors(name, folder, readComponentTensors(folder, stem)) };
}

function subfolder(dir: string, name: string): string {
  const path = join(dir, name);
  if (isFolder(path)) return path;
  throw new FileFormatError(`${dir}: expected a folder ${name}, got none`, {
    hint: 'The model folder is incomplete: download the missing folder.',
  });
}
