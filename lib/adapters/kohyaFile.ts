// Writes LoRA as kohya's scripts do, which most programs read: `lora_unet_<name>.lora_down.weight`, `.lora_up.weight`, `.alpha`. SDXL's
// blocks have their original names, those of Stable Diffusion 1.x and 2.x diffusers'. Alpha is the largest rank everywhere, which makes the scale
// 1 there; layers of other ranks have theirs in the factors, as some programs mix up alphas that differ.
import { type TensorToWrite, writeSafetensors } from '../io/safetensors.js';
import { originalPaths, underscored } from './modelLayers.js';
import type { PlainFactors } from './plainFactors.js';
import { factorTensors, type PlainAdapter, type PlainLayer } from './plainLayers.js';

/** Which model the adapter is for. */
export type ModelFamily = 'sd1' | 'sd2' | 'sdxl';

/** What the programs call the families. */
const FAMILIES: Readonly<Record<ModelFamily, { base: string; architecture: string }>> = {
  sd1: { base: 'sd_v1', architecture: 'stable-diffusion-v1/lora' },
  sd2: { base: 'sd_v2', architecture: 'stable-diffusion-v2-512/lora' },
  sdxl: { base: 'sdxl_base_v1-0', architecture: 'stable-diffusion-xl-v1-base/lora' },
};

/** Text states of Stable Diffusion 2.x have this many channels. */
const SD2_CONTEXT = 1024;

/** The family of a UNet by its layers: only SDXL has no attention in its first block. */
export function familyOf(layers: readonly { path: string; in: number }[]): ModelFamily {
  if (!layers.some(({ path }) => path.startsWith('down_blocks.0.attentions.'))) return 'sdxl';
  return layers.some(({ path, in: width }) => path.endsWith('attn2.to_k') && width === SD2_CONTEXT) ? 'sd2' : 'sd1';
}

/** Writes the file atomically. @throws FileWriteError */
export async function saveKohyaFile(path: string, adapter: PlainAdapter, family: ModelFamily): Promise<void> {
  const { layers, dtype } = adapter;
  const names = namesOf(layers, family);
  const rank = largestRank(layers);
  const ofAlpha = dtype === 'BF16' ? 'F32' : dtype; // bfloat16 has not all whole numbers above 256
  const tensors = layers.flatMap((layer): TensorToWrite[] => {
    const name = names.get(layer)!;
    const alpha: TensorToWrite = { key: `${name}.alpha`, dtype: ofAlpha, shape: [], data: Float32Array.of(rank) };
    const scaled =
      layer.rank === rank ? layer : { ...layer, factors: () => scaledUp(layer.factors(), layer.rank / rank) };
    return [...factorTensors(scaled, dtype, { up: `${name}.lora_up.weight`, down: `${name}.lora_down.weight` }), alpha];
  });
  await writeSafetensors(path, tensors, metadataOf(adapter, family));
}

function largestRank(layers: readonly PlainLayer[]): number {
  return Math.max(...layers.map((layer) => layer.rank));
}

function scaledUp(factors: PlainFactors, scale: number): PlainFactors {
  return { ...factors, up: factors.up.map((v) => v * scale) };
}

function namesOf(layers: readonly PlainLayer[], family: ModelFamily): Map<PlainLayer, string> {
  const unet = layers.filter(({ model }) => model === 'unet').map(({ path }) => path);
  const originals = family === 'sdxl' ? originalPaths(unet) : new Map<string, string>();
  const prefixes = {
    unet: 'lora_unet',
    text_encoder: family === 'sdxl' ? 'lora_te1' : 'lora_te',
    text_encoder_2: 'lora_te2',
  };
  const named = (layer: PlainLayer): string =>
    `${prefixes[layer.model]}_${underscored((layer.model === 'unet' && originals.get(layer.path)) || layer.path)}`;
  return new Map(layers.map((layer) => [layer, named(layer)]));
}

function metadataOf({ layers, name, trigger, metadata }: PlainAdapter, family: ModelFamily): Record<string, string> {
  const rank = largestRank(layers);
  const { base, architecture } = FAMILIES[family];
  return {
    ss_base_model_version: base,
    ss_network_module: 'networks.lora',
    ss_network_dim: String(rank),
    ss_network_alpha: String(rank),
    ss_network_args: '{}',
    ss_v2: family === 'sd2' ? 'True' : 'False',
    ss_output_name: name,
    'modelspec.sai_model_spec': '1.0.0',
    'modelspec.architecture': architecture,
    'modelspec.title': name,
    ...(trigger !== undefined && { 'modelspec.trigger_phrase': trigger }),
    ...metadata,
  };
}
