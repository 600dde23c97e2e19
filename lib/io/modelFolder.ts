import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FileFormatError } from '../errors.js';
import { readComponentTensors } from './componentFiles.js';
import { readJsonObject } from './jsonFile.js';
import { type ComponentName, canonicalKey, canonicalTensor } from './renamedKeys.js';
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

/** A diffusers pipeline folder. */
export interface ModelFolder {
  dir: string;
  kind: 'sd' | 'sdxl';
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

const KINDS: Readonly<Record<string, ModelFolder['kind']>> = {
  StableDiffusionPipeline: 'sd',
  StableDiffusionImg2ImgPipeline: 'sd',
  StableDiffusionXLPipeline: 'sdxl',
};

/** The class each component must have: another one computes something else from the same keys. */
const CLASSES: Readonly<Record<ComponentName, string>> = {
  unet: 'UNet2DConditionModel',
  vae: 'AutoencoderKL',
  text_encoder: 'CLIPTextModel',
  text_encoder_2: 'CLIPTextModelWithProjection',
};

/**
 * Opens a Stable Diffusion 1.x, 2.x or XL folder as diffusers saves it: reads the configs and the headers of the weight
 * files, no weights. Only what training and sampling need is opened; safety_checker and feature_extractor are not.
 *
 * @throws FileFormatError naming the file or folder that is missing or wrong.
 */
export function openModelFolder(dir: string): ModelFolder {
  const index = readIndex(dir);
  const kind = readKind(dir, index);
  const parts = {
    dir,
    kind,
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

function readIndex(dir: string): Record<string, unknown> {
  const path = join(dir, 'model_index.json');
  if (existsSync(path)) return readJsonObject(path);
  const hint =
    'Give the folder of a Stable Diffusion 1.5, 2.x or XL model in diffusers layout: the one that holds model_index.json, unet, vae and text_encoder.';
  const what = isFolder(dir) ? 'is not a model folder: it has no model_index.json' : 'is not a folder';
  throw new FileFormatError(`${dir} ${what}`, { hint });
}

function readKind(dir: string, index: Record<string, unknown>): ModelFolder['kind'] {
  const name = index._class_name;
  if (typeof name === 'string' && Object.hasOwn(KINDS, name)) return KINDS[name]!;
  const expected = Object.keys(KINDS).join(', ');
  throw new FileFormatError(
    `${join(dir, 'model_index.json')}: _class_name: expected ${expected}, got ${JSON.stringify(name)}`,
    { hint: 'Only Stable Diffusion 1.x, 2.x and XL text-to-image models can be used.' },
  );
}

function openComponent(dir: string, index: Record<string, unknown>, name: ComponentName): Component {
  const entry = index[name];
  const className: unknown = Array.isArray(entry) ? entry[1] : undefined;
  if (className !== CLASSES[name]) {
    throw new FileFormatError(
      `${join(dir, 'model_index.json')}: ${name}: expected ${CLASSES[name]}, got ${JSON.stringify(className ?? entry ?? null)}`,
      { hint: 'This model is built differently from what is implemented: choose another one.' },
    );
  }
  const folder = subfolder(dir, name);
  const config = readJsonObject(join(folder, 'config.json'));
  const stem = name === 'unet' || name === 'vae' ? 'diffusion_pytorch_model' : 'model';
  return { name, config, tensors: canonicalTensors(name, folder, readComponentTensors(folder, stem)) };
}

function canonicalTensors(name: ComponentName, folder: string, stored: Map<string, TensorRef>): Map<string, TensorRef> {
  const tensors = new Map<string, TensorRef>();
  for (const [key, ref] of stored) {
    const canonical = canonicalKey(name, key);
    if (canonical === undefined) continue;
    const earlier = tensors.get(canonical);
    if (earlier !== undefined) {
      throw new FileFormatError(`${folder}: "${earlier.key}" and "${key}" are two spellings of the same weight`, {
        hint: 'The weight file was put together wrongly: download or convert it again.',
      });
    }
    tensors.set(canonical, canonicalTensor(name, canonical, ref));
  }
  return tensors;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function subfolder(dir: string, name: string): string {
  const path = join(dir, name);
  if (isFolder(path)) return path;
  throw new FileFormatError(`${dir}: expected a folder ${name}, got none`, {
    hint: 'The model folder is incomplete: download the missing folder.',
  });
}
