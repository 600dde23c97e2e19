import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FileFormatError } from '../errors.js';
import { readJsonObject } from './jsonFile.js';
import type { ComponentName } from './renamedKeys.js';

/** Which pipeline a model_index.json describes. */
export type ModelKind = 'sd' | 'sdxl';

/** The parsed object of a model_index.json. */
export type ModelIndex = Readonly<Record<string, unknown>>;

const KINDS: Readonly<Record<string, ModelKind>> = {
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

/** The model_index.json of a folder; undefined: it has none. */
export function readModelIndex(dir: string): ModelIndex | undefined {
  const path = join(dir, 'model_index.json');
  return existsSync(path) ? readJsonObject(path) : undefined;
}

/** @throws FileFormatError for a pipeline that is not implemented */
export function modelKind(dir: string, index: ModelIndex): ModelKind {
  const name = index._class_name;
  if (typeof name === 'string' && Object.hasOwn(KINDS, name)) return KINDS[name]!;
  const expected = Object.keys(KINDS).join(', ');
  throw new FileFormatError(
    `${join(dir, 'model_index.json')}: _class_name: expected ${expected}, got ${JSON.stringify(name)}`,
    { hint: 'Only Stable Diffusion 1.x, 2.x and XL text-to-image models can be used.' },
  );
}

/** @throws FileFormatError if a component is of another class than the implemented one */
export function expectClass(dir: string, index: ModelIndex, name: ComponentName): void {
  const entry = index[name];
  const className: unknown = Array.isArray(entry) ? entry[1] : undefined;
  if (className === CLASSES[name]) return;
  throw new FileFormatError(
    `${join(dir, 'model_index.json')}: ${name}: expected ${CLASSES[name]}, got ${JSON.stringify(className ?? entry ?? null)}`,
    { hint: 'This model is built differently from what is implemented: choose another one.' },
  );
}

/** An empty negative prompt is all zeros for SDXL, unless its model_index.json says otherwise, and the encoded empty text for SD. */
export function zerosForEmptyPrompt(kind: ModelKind, index: ModelIndex | undefined): boolean {
  return kind === 'sdxl' && index?.force_zeros_for_empty_prompt !== false;
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
