// The layers of a model that adapter files may name, and the names that other programs have for them.
import { renameModule, type UnetBlocks, unetModules } from '../io/originalKeys.js';
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
    return path !== key && matrix && !TABLES.test(path)
      ? [[path, { path, in: shape[1]!, out: shape[0]!, ...(shape.length === 4 && { convolution: true }) }]]
      : [];
  });
  return new Map(layers);
}

/** The blocks of SDXL's UNet. */
const SDXL: UnetBlocks = {
  down: [null, true, true].map((attention) => ({ resnets: 2, attention })),
  up: [true, true, null].map((attention) => ({ resnets: 3, attention })),
};

/** The blocks of a UNet, by the linear layers that each resnet and each transformer has. */
function blocksOf(paths: readonly string[]): UnetBlocks {
  const blocks = (section: string): UnetBlocks['down'] => {
    const found: { resnets: number; attention: true | null }[] = [];
    for (const path of paths) {
      const [, way, block, kind, i] = /^(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\./.exec(path) ?? [];
      if (way !== section) continue;
      while (found.length <= Number(block)) found.push({ resnets: 0, attention: null });
      const own = found[Number(block)]!;
      if (kind === 'attentions') own.attention = true;
      else own.resnets = Math.max(own.resnets, Number(i) + 1);
    }
    return found;
  };
  return { down: blocks('down'), up: blocks('up') };
}

/**
 * Paths of layers in the original checkpoints of Stable Diffusion, by diffusers' paths: `down_blocks.1.attentions.0.proj_in` is
 * `input_blocks.4.1.proj_in` in SDXL.
 * @param all layers of the whole UNet, which tell its blocks; absent: SDXL's
 */
export function originalPaths(paths: readonly string[], all?: readonly string[]): Map<string, string> {
  const names = unetModules(all ? blocksOf(all) : SDXL);
  return new Map(paths.map((path) => [path, renameModule(names, path) ?? path]));
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
  const originals =
    model === 'unet' ? originalPaths([...layers.keys()], [...layers.keys()]) : new Map<string, string>();
  for (const [path, original] of originals) named.set(underscored(original), layers.get(path)!);
  for (const [path, layer] of layers) named.set(underscored(path), layer);
  // Text encoders' checkpoints have the prefix text_model. or not.
  return (name) => named.get(underscored(name)) ?? named.get(`text_model_${underscored(name)}`);
}
