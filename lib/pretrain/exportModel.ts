import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../io/atomicFile.js';
import { readComponentTensors } from '../io/componentFiles.js';
import { readJsonObject } from '../io/jsonFile.js';
import type { Component } from '../io/modelFolder.js';
import { readTensorFloat32, type TensorToWrite, writeSafetensors } from '../io/safetensors.js';
import type { FlatEntry, FlatLayout } from '../params/flatLayout.js';
import { fileShapeOf } from '../params/paramTree.js';
import { openTrainState } from '../train/trainState.js';
import type { Config, ModelConfigs } from './miniModel.js';
import type { TokenizerFiles } from './tokenizerFiles.js';

const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

/** The averaged weights of a stage's state file. */
export function readAveraged(path: string, layout: FlatLayout): Float32Array {
  const { file } = openTrainState(path, layout);
  const all = new Float32Array(layout.total);
  let at = 0;
  for (const key of [...file.tensors.keys()].filter((name) => name.startsWith('ema.')).sort()) {
    const piece = readTensorFloat32(file.tensors.get(key)!);
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Values of one tensor as files have them: convolution weights [o, kh, kw, i] become [o, i, kh, kw]. */
function fileValues(values: Float32Array, shape: readonly number[]): Float32Array {
  if (shape.length !== 4) return values;
  const [o, kh, kw, i] = shape as [number, number, number, number];
  const out = new Float32Array(values.length);
  const taps = kh * kw;
  for (let row = 0; row < o; row++) {
    for (let tap = 0; tap < taps; tap++) {
      for (let c = 0; c < i; c++) out[(row * i + c) * taps + tap] = values[(row * taps + tap) * i + c]!;
    }
  }
  return out;
}

function tensorsOf(component: string, layout: FlatLayout, values: Float32Array): TensorToWrite[] {
  const own = [...layout.entries].filter(([name]) => name.startsWith(`${component}/`));
  return own.map(([name, { offset, count, shape }]: [string, FlatEntry]) => ({
    key: name.slice(component.length + 1),
    dtype: 'F16',
    shape: fileShapeOf(shape),
    data: () => fileValues(values.subarray(offset, offset + count), shape),
  }));
}

const FILES = { vae: 'diffusion_pytorch_model', unet: 'diffusion_pytorch_model', text_encoder: 'model' } as const;

/**
 * Writes one component in diffusers' layout, float16.
 * @param values of all of `layout`
 * @throws FileWriteError
 */
export async function writeComponent(
  model: string,
  component: keyof typeof FILES,
  config: Config,
  layout: FlatLayout,
  values: Float32Array,
): Promise<void> {
  const folder = join(model, component);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${FILES[component]}.safetensors`);
  await writeSafetensors(path, tensorsOf(component, layout, values), { format: 'pt' });
  await writeFileAtomic(join(folder, 'config.json'), json(config));
}

/** Opens a component that `writeComponent` wrote. @throws FileFormatError */
export function openWritten(model: string, name: keyof typeof FILES): Component {
  const folder = join(model, name);
  const config = readJsonObject(join(folder, 'config.json'));
  return { name, config, tensors: readComponentTensors(folder, FILES[name]) };
}

/** Writes everything of a pipeline folder but the models: index, tokenizer and scheduler. */
export async function writePipelineFiles(
  model: string,
  configs: Pick<ModelConfigs, 'scheduler'>,
  tokenizer: TokenizerFiles,
): Promise<void> {
  const index = {
    _class_name: 'StableDiffusionPipeline',
    _diffusers_version: '0.30.0',
    feature_extractor: [null, null],
    image_encoder: [null, null],
    requires_safety_checker: false,
    safety_checker: [null, null],
    scheduler: ['diffusers', configs.scheduler._class_name],
    text_encoder: ['transformers', 'CLIPTextModel'],
    tokenizer: ['transformers', 'CLIPTokenizer'],
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
  };
  for (const folder of ['tokenizer', 'scheduler']) mkdirSync(join(model, folder), { recursive: true });
  await writeFileAtomic(join(model, 'model_index.json'), json(index));
  await writeFileAtomic(join(model, 'scheduler', 'scheduler_config.json'), json(configs.scheduler));
  for (const [name, text] of Object.entries(tokenizer.files)) {
    await writeFileAtomic(join(model, 'tokenizer', name), text);
  }
}
