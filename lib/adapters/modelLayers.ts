// The layers of a model that adapter files may name, and the names that other programs have for them.
import type { LinearShape } from './adapterSpec.js';

/** The models of a pipeline that an adapter file may change. */
export type AdaptedModel = 'unet' | 'text_encoder' | 'text_encoder_2';

/** A model's tensors by today's diffusers keys: shapes are enough. */
export type TensorShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** Layers that can have an adapter, by module path. */
export type LayerMap = ReadonlyMap<string, LinearShape>;

/** The layers of a whole pipeline. */
export type PipelineLayers = ReadonlyMap<AdaptedModel, LayerMap>;

/** Of token and position: looked up, not multiplied. */
const TABLES = /\.embeddings\.\w+$/;

/** Linear layers and 1×1 convolutions, which do the same at every position of the picture. */
export function adaptableLayers(tensors: TensorShapes): LayerMap {
  const layers = [...tensors].flatMap(([key, { shape }]): [string, LinearShape][] => {
    const path = key.replace(/\.weight$/, '');
    const matrix = shape.length === 2 || (shape.length === 4 && shape[2] === 1 && shape[3] === 1);
    return path !== key && matrix && !TABLES.test(path) ? [[path, { path, in: shape[1]!, out: shape[0]! }]] : [];
  });
  return new Map(layers);
}

/** Transformers of a UNet block begin behind this many blocks of the original layout, for each resnet and the sampler of a block. */
function blocksEach(paths: Iterable<string>): number {
  const resnets = [...paths].flatMap((path) => /^down_blocks\.0\.resnets\.(\d+)\./.exec(path)?.[1] ?? []);
  return resnets.length === 0 ? 3 : Math.max(...resnets.map(Number)) + 2;
}

const TIME_PARTS: Readonly<Record<string, string>> = {
  'time_embedding.linear_1': 'time_embed.0',
  'time_embedding.linear_2': 'time_embed.2',
  'add_embedding.linear_1': 'label_emb.0.0',
  'add_embedding.linear_2': 'label_emb.0.2',
};

/**
 * The path of a UNet's layer in the original checkpoints of Stable Diffusion, which number blocks without sections:
 * `down_blocks.1.attentions.0.proj_in` is `input_blocks.4.1.proj_in` where a block has two resnets and a sampler (`each` 3).
 * Layers of other kinds keep their path.
 */
export function originalPath(path: string, each: number): string {
  const [, section, block, kind, i, rest] =
    /^(down|up)_blocks\.(\d+)\.(attentions|resnets)\.(\d+)\.(.+)$/.exec(path) ??
    /^(mid)_block()\.(attentions|resnets)\.(\d+)\.(.+)$/.exec(path) ??
    [];
  if (section === undefined) return TIME_PARTS[path] ?? path;
  const at = Number(block) * each + Number(i);
  const resnet = kind === 'resnets';
  const own = resnet
    ? rest!.replace('time_emb_proj', 'emb_layers.1').replace('conv_shortcut', 'skip_connection')
    : rest;
  if (section === 'mid') return `middle_block.${resnet ? 2 * Number(i) : 1}.${own}`;
  return `${section === 'down' ? `input_blocks.${at + 1}` : `output_blocks.${at}`}.${resnet ? 0 : 1}.${own}`;
}

/** Original names of a UNet's layers, by path. */
export function originalPaths(paths: readonly string[]): Map<string, string> {
  const each = blocksEach(paths);
  return new Map(paths.map((path) => [path, originalPath(path, each)]));
}

/** A name with underscores alone, as kohya's files have it. */
export function underscored(path: string): string {
  return path.replaceAll('.', '_');
}

/**
 * Finds a model's layer by any of its names: diffusers' or the original one, with dots or underscores. With underscores alone a
 * name cannot be taken apart (`to_out_0`), so the names of the model's own layers are what counts.
 */
export function layerFinder(model: AdaptedModel, layers: LayerMap): (name: string) => LinearShape | undefined {
  const named = new Map<string, LinearShape>();
  const originals = model === 'unet' ? originalPaths([...layers.keys()]) : new Map<string, string>();
  for (const [path, original] of originals) named.set(underscored(original), layers.get(path)!);
  for (const [path, layer] of layers) named.set(underscored(path), layer);
  // Text encoders' checkpoints have the prefix text_model. or not.
  return (name) => named.get(underscored(name)) ?? named.get(`text_model_${underscored(name)}`);
}
