#!/usr/bin/env node
// Writes a Stable Diffusion pipeline folder in diffusers layout with random weights: for tests, plans and benchmarks
// without a real model.
import { closeSync, ftruncateSync, mkdirSync, openSync, realpathSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { tokenizerFolders } from './clip-vocabulary.mjs';
import { componentsOf, SHAPES } from './model-shapes.mjs';
import { DTYPES, randomBits, writeTensor } from './random-weights.mjs';

const USAGE = `Usage: node scripts/make-random-model.mjs --shape SHAPE --out DIR [--dtype DTYPE] [--headers-only] [--seed N]
  --shape         ${Object.keys(SHAPES).join(', ')}
  --dtype         ${Object.keys(DTYPES).join(', ')} (default float16)
  --headers-only  weight files of the right size that take no room on disk and hold zeros
  --seed          default 0; the same seed gives the same files`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      shape: { type: 'string' },
      dtype: { type: 'string', default: 'float16' },
      out: { type: 'string' },
      'headers-only': { type: 'boolean', default: false },
      seed: { type: 'string', default: '0' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  if (!Object.hasOwn(SHAPES, values.shape ?? '')) throw new Error(`--shape: unknown shape ${values.shape}`);
  if (!Object.hasOwn(DTYPES, values.dtype)) throw new Error(`--dtype: unknown type ${values.dtype}`);
  if (!/^\d{1,9}$/.test(values.seed)) throw new Error(`--seed: expected a whole number, got ${values.seed}`);
  if (values.out === undefined) throw new Error('--out: expected a folder');
  return { ...values, seed: Number(values.seed) };
}

/** The 8-byte length and the JSON header of a safetensors file, and the bytes that follow it. */
function safetensorsHeader(tensors, { dtype, bytes }) {
  let end = 0;
  const entries = tensors.map(({ key, shape }) => {
    const begin = end;
    end += shape.reduce((product, side) => product * side, bytes);
    return [key, { dtype, shape, data_offsets: [begin, end] }];
  });
  const json = JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) });
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return { header: Buffer.concat([length, text]), dataBytes: end };
}

function writeWeights(path, component, { dtype, seed, 'headers-only': headersOnly }) {
  const tensors = component.tensors.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const { header, dataBytes } = safetensorsHeader(tensors, DTYPES[dtype]);
  const file = openSync(path, 'w');
  try {
    const writeAll = (bytes) => {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    };
    writeAll(header);
    if (headersOnly) {
      ftruncateSync(file, header.length + dataBytes);
      return;
    }
    const random = randomBits(seed + [...component.name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7));
    for (const tensor of tensors) writeTensor(tensor, dtype, random, writeAll);
  } finally {
    closeSync(file);
  }
}

function writeJson(path, value) {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** The second tokenizer of SDXL pads with '!'. */
function writeTokenizers(out, isXl) {
  const names = isXl ? ['tokenizer', 'tokenizer_2'] : ['tokenizer'];
  const folders = tokenizerFolders(isXl ? ['<|endoftext|>', '!'] : ['<|endoftext|>']);
  names.forEach((name, i) => {
    mkdirSync(join(out, name), { recursive: true });
    for (const [file, text] of Object.entries(folders[i])) writeFileSync(join(out, name, file), text);
  });
}

function modelIndex(shape) {
  const isXl = SHAPES[shape].text_encoder_2 !== undefined;
  const { _class_name: scheduler } = SHAPES[shape].scheduler;
  return {
    _class_name: isXl ? 'StableDiffusionXLPipeline' : 'StableDiffusionPipeline',
    ...(isXl ? { force_zeros_for_empty_prompt: true } : {}),
    scheduler: ['diffusers', scheduler],
    text_encoder: ['transformers', 'CLIPTextModel'],
    ...(isXl ? { text_encoder_2: ['transformers', 'CLIPTextModelWithProjection'] } : {}),
    tokenizer: ['transformers', 'CLIPTokenizer'],
    ...(isXl ? { tokenizer_2: ['transformers', 'CLIPTokenizer'] } : {}),
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
  };
}

/** Writes the folder. @param settings { shape, out, dtype, seed, 'headers-only' } as on the command line */
export function makeModel(settings) {
  const { shape, out } = settings;
  for (const component of componentsOf(shape)) {
    const folder = join(out, component.name);
    mkdirSync(folder, { recursive: true });
    writeJson(join(folder, 'config.json'), component.config);
    writeWeights(join(folder, component.file), component, settings);
  }
  mkdirSync(join(out, 'scheduler'), { recursive: true });
  writeJson(join(out, 'scheduler', 'scheduler_config.json'), SHAPES[shape].scheduler);
  writeTokenizers(out, SHAPES[shape].text_encoder_2 !== undefined);
  writeJson(join(out, 'model_index.json'), modelIndex(shape));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    makeModel(readArguments());
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    process.exitCode = 2;
  }
}
