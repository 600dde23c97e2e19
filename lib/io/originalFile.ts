import { statSync } from 'node:fs';
import { FileFormatError } from '../errors.js';
import type { ComponentName } from './renamedKeys.js';
import { readSafetensorsHeader, type TensorRef } from './safetensorsHeader.js';

/** Which model a checkpoint of the original layout holds. */
export type OriginalFamily = 'sd1' | 'sd2' | 'sdxl';

/** How errors call it. */
export const FAMILY_NAMES: Readonly<Record<OriginalFamily, string>> = {
  sd1: 'Stable Diffusion 1.x',
  sd2: 'Stable Diffusion 2.x',
  sdxl: 'Stable Diffusion XL',
};

/** Tensors of one component, by the rest of their keys behind its prefix. */
export type OriginalTensors = ReadonlyMap<string, TensorRef>;

/** A single-file checkpoint in the original layout. */
export interface OriginalFile {
  readonly path: string;
  readonly family: OriginalFamily;
  readonly components: ReadonlyMap<ComponentName, OriginalTensors>;
  /** Marks that some models carry: trained to predict v, and on noise up to a terminal signal of zero. */
  readonly predictsV: boolean;
  readonly zeroTerminalSnr: boolean;
  /** What the metadata say of it (https://github.com/Stability-AI/ModelSpec). */
  readonly prediction: 'epsilon' | 'v_prediction' | undefined;
}

type Prefixes = readonly (readonly [component: ComponentName, prefix: string])[];

const UNET = 'model.diffusion_model.';
const COMMON: Prefixes = [
  ['unet', UNET],
  ['vae', 'first_stage_model.'],
];
const PREFIXES: Readonly<Record<OriginalFamily, Prefixes>> = {
  sd1: [...COMMON, ['text_encoder', 'cond_stage_model.transformer.']],
  sd2: [...COMMON, ['text_encoder', 'cond_stage_model.model.']],
  sdxl: [
    ...COMMON,
    ['text_encoder', 'conditioner.embedders.0.transformer.'],
    ['text_encoder_2', 'conditioner.embedders.1.model.'],
  ],
};

/** Keys that no computation here reads: schedules, averaged copies, losses, aids of training, and what text encoders have beside the text model. */
const WITHOUT_EFFECT: readonly RegExp[] = [
  /^(betas|logvar|lvlb_weights|scale_factor|global_step|denoiser\.sigmas|v_pred|ztsnr)$/,
  /^(alphas_cumprod|alphas_cumprod_prev|(sqrt|log)_one_minus_alphas_cumprod|sqrt_(alphas|recip_alphas|recipm1_alphas)_cumprod)$/,
  /^posterior_(variance|log_variance_clipped|mean_coef[12])$/,
  /^(model_ema|embedding_manager)\./,
  /^first_stage_model\.(loss|model_ema)\./,
  /^(cond_stage_model|conditioner\.embedders\.[01])\.((transformer|model)\.)?(logit_scale|attn_mask)$/,
  /^(cond_stage_model|conditioner\.embedders\.0)\.((transformer|model)\.)?text_projection(\.weight)?$/,
  /^(cond_stage_model|conditioner\.embedders\.[01])\..*\bposition_ids$/,
];

const PREDICTIONS: Readonly<Record<string, OriginalFile['prediction']>> = { epsilon: 'epsilon', v: 'v_prediction' };

/** What other files hold, told by one of their keys. */
const OTHERS: readonly (readonly [key: RegExp, what: string, hint: string])[] = [
  [
    /^lora_|[._]lora[._](down|up|A|B)\b|\.lora_linear_layer\.|\.(hada|lokr|oft)_|\.(q_layer|p_layer|lambda_layer|base_lambda)\b/,
    'an adapter (LoRA)',
    'An adapter changes a model and is none: give the checkpoint that it was made for here, and the adapter by --adapter of generate.',
  ],
  [/(^|\.)double_blocks\./, 'a FLUX model', ''],
  [/(^|\.)joint_blocks\./, 'a Stable Diffusion 3 model', ''],
  [/^(control_model|controlnet_[a-z_]+)\./, 'a ControlNet', ''],
  [/^conditioner\.embedders\.0\.model\./, 'an SDXL refiner', ''],
  [/^edm_(mean|std)$/, 'a Playground model', ''],
  [/^edm_vpred\./, 'a model with EDM noise (CosXL)', ''],
  [
    /^(down_blocks|up_blocks|text_model|encoder\.down_blocks)\./,
    'one component of a model in diffusers layout',
    'Give the folder that holds model_index.json.',
  ],
];

/** Channels that other kinds of the same build read beside the 4 of the latent. */
const INPUTS: Readonly<Record<number, string>> = {
  5: 'a model that reads a depth map',
  7: 'an upscaler',
  8: 'a model that edits pictures (InstructPix2Pix)',
  9: 'an inpainting model',
};

const ONLY = 'Only Stable Diffusion 1.x, 2.x and XL text-to-image models can be used.';

/**
 * Reads the header of a single-file checkpoint and finds out what it holds.
 * @throws FileFormatError for a file that is no such checkpoint, saying what it is, or that has keys nobody knows
 */
export function readOriginalFile(path: string): OriginalFile {
  if (/\.(ckpt|pt|pth|bin|pkl)$/i.test(path)) throw pickled(path);
  const { tensors, metadata } = readSafetensorsHeader(path);
  const family = familyOf(path, tensors);
  const prefixes = PREFIXES[family];
  const components = new Map(prefixes.map(([name]) => [name, new Map<string, TensorRef>()]));
  const unknown: string[] = [];
  for (const [key, ref] of tensors) {
    if (WITHOUT_EFFECT.some((pattern) => pattern.test(key))) continue;
    const [name, prefix] = prefixes.find(([, start]) => key.startsWith(start)) ?? [];
    if (name !== undefined) components.get(name)!.set(key.slice(prefix!.length), ref);
    else unknown.push(key);
  }
  if (unknown.length > 0) throw unknownKeys(path, unknown);
  for (const [name, prefix] of prefixes) if (components.get(name)!.size === 0) throw incomplete(path, name, prefix);
  const marks = { predictsV: tensors.has('v_pred'), zeroTerminalSnr: tensors.has('ztsnr') };
  return { path, family, components, ...marks, prediction: PREDICTIONS[metadata['modelspec.prediction_type'] ?? ''] };
}

/** Whether a path names a file, there or not, rather than a folder. */
export function isFilePath(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat ? !stat.isDirectory() : /\.(safetensors|ckpt|pt|pth|bin|pkl|gguf)$/i.test(path);
}

function pickled(path: string): FileFormatError {
  return new FileFormatError(`${path}: expected a .safetensors file, got a PyTorch file`, {
    hint: 'Such files can run code when opened and are not read. Download the .safetensors file of this model instead, or convert it once with a program that you trust.',
  });
}

function familyOf(path: string, tensors: ReadonlyMap<string, TensorRef>): OriginalFamily {
  const keys = [...tensors.keys()];
  const has = (prefix: string): boolean => keys.some((key) => key.startsWith(prefix));
  const [, what, hint] = OTHERS.find(([pattern]) => keys.some((key) => pattern.test(key))) ?? [];
  if (what !== undefined) throw other(path, what, hint || ONLY);
  if (!has(UNET)) throw other(path, keys[0] === undefined ? 'an empty file' : `keys such as '${keys[0]}'`, ONLY);
  const channels = tensors.get(`${UNET}input_blocks.0.0.weight`)?.shape[1] ?? 4;
  if (INPUTS[channels] !== undefined) throw other(path, `${INPUTS[channels]} of ${channels} input channels`, ONLY);
  if (has('conditioner.')) return 'sdxl';
  if (has(`${UNET}label_emb.`)) throw other(path, 'an unCLIP model', ONLY);
  return has('cond_stage_model.model.') ? 'sd2' : 'sd1';
}

function other(path: string, what: string, hint: string): FileFormatError {
  return new FileFormatError(`${path}: expected a Stable Diffusion checkpoint in the original layout, got ${what}`, {
    hint,
  });
}

const PARTS: Readonly<Record<ComponentName, string>> = {
  unet: 'UNet',
  vae: 'autoencoder (VAE)',
  text_encoder: 'text encoder',
  text_encoder_2: 'second text encoder',
};

function incomplete(path: string, name: ComponentName, prefix: string): FileFormatError {
  return new FileFormatError(`${path}: expected the ${PARTS[name]}, keys '${prefix}…', got none`, {
    hint: 'Choose a file of this model that holds all of it: UNet, autoencoder and text encoder.',
  });
}

const NAMED_KEYS = 8;

/** The error for keys that belong to no part of the model. */
export function unknownKeys(path: string, keys: readonly string[]): FileFormatError {
  const named = keys.slice(0, NAMED_KEYS).map((key) => `'${key}'`);
  const rest = keys.length > NAMED_KEYS ? ` and ${keys.length - NAMED_KEYS} more` : '';
  return new FileFormatError(
    `${path}: expected only keys of a Stable Diffusion model, got ${named.join(', ')}${rest}`,
    {
      hint: 'The file holds something that is not implemented, or its configs (--config) are those of another model.',
    },
  );
}
