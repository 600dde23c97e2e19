// Opens adapters in other programs' layouts against the model that they are for.
import { FileFormatError } from '../errors.js';
import { readSafetensorsHeader } from '../io/safetensors.js';
import type { AdapterFile } from './adapterFile.js';
import { type ForeignLayer, foreignLayers, type ResolvedLayer, twice } from './foreignKeys.js';
import { type LycorisStart, lycorisAdapter } from './lycorisFile.js';
import { readMask } from './maskMetadata.js';
import { type AdaptedModel, type LayerMap, layerFinder, type PipelineLayers } from './modelLayers.js';
import { peftAlphas } from './peftMetadata.js';
import { plainAdapter } from './plainFile.js';

export interface ForeignOptions {
  /** Leaves out what the file has for text encoders. */
  readonly unetOnly?: boolean;
  /** What to take the start of a LyCORIS T-LoRA for, in the place of what the file says. */
  readonly start?: LycorisStart | undefined;
}

function lycorisText(path: string, key: string): FileFormatError {
  return new FileFormatError(
    `[adapter] ${path}: tensor '${key}': expected a T-LoRA of a UNet, got one of a text encoder`,
    {
      hint: 'T-LoRA of text encoders cannot be read; --unet-only leaves it out.',
    },
  );
}

const NAMED = 4;

const listed = (keys: readonly string[]): string =>
  `${keys
    .slice(0, NAMED)
    .map((key) => `'${key}'`)
    .join(', ')}${keys.length > NAMED ? ` and ${keys.length - NAMED} more` : ''}`;

/**
 * Opens an adapter in the layouts of PEFT and diffusers, kohya's scripts (and OneTrainer, ComfyUI), or LyCORIS' T-LoRA.
 * @param pipeline the layers of the model that the adapter is for
 * @throws FileFormatError
 */
export function openForeignFile(
  path: string,
  pipeline: PipelineLayers,
  { unetOnly = false, start }: ForeignOptions = {},
): AdapterFile {
  const file = readSafetensorsHeader(path);
  const found = foreignLayers(file);
  const open = (model: AdaptedModel): AdapterFile | null => {
    const layers = resolve(path, model, found.get(model) ?? [], pipeline.get(model));
    if (layers.length === 0) return null;
    const lycoris = layers.some(({ values }) => values.has('lambda'));
    if (lycoris && model !== 'unet') throw lycorisText(path, layers[0]!.key);
    return lycoris
      ? lycorisAdapter(path, layers, file.metadata, start)
      : plainAdapter(path, layers, {
          scales: peftAlphas(path, file.metadata, model),
          mask: model === 'unet' ? readMask(path, file.metadata) : null,
        });
  };
  const unet = open('unet');
  const others = unetOnly
    ? []
    : (['text_encoder', 'text_encoder_2'] as const).flatMap((model) => {
        const adapter = open(model);
        return adapter ? [[model, adapter] as const] : [];
      });
  if (unet) return { ...unet, text: new Map(others) };
  throw new FileFormatError(`[adapter] ${path}: expected adapted layers of a UNet, got none`, {
    hint: 'Adapters of text encoders alone cannot be read.',
  });
}

/** The model's layers that a file names, by path. @throws FileFormatError for names that the model does not have */
function resolve(
  path: string,
  model: AdaptedModel,
  layers: readonly ForeignLayer[],
  known: LayerMap | undefined,
): ResolvedLayer[] {
  if (layers.length > 0 && !known) {
    throw new FileFormatError(
      `[adapter] ${path}: tensor '${layers[0]!.key}': expected an adapter for this model, which has no ${model}, got one for it`,
      { hint: 'The adapter belongs to another kind of model.' },
    );
  }
  const find = layerFinder(model, known ?? new Map());
  const resolved = new Map<string, ResolvedLayer>();
  const unknown: string[] = [];
  for (const one of layers) {
    expectNoKernel(path, one);
    const layer = find(one.name);
    if (!layer) unknown.push(one.key);
    else {
      const other = resolved.get(layer.path);
      if (other) throw twice(path, one.key, other.key);
      resolved.set(layer.path, { ...one, layer });
    }
  }
  if (unknown.length > 0) {
    throw new FileFormatError(
      `[adapter] ${path}: expected names of linear layers of the model's ${model}, got ${listed(unknown)}`,
      { hint: 'The adapter belongs to another kind of model, or adapts layers of another kind.' },
    );
  }
  return [...resolved.values()].sort((a, b) => (a.layer.path < b.layer.path ? -1 : 1));
}

/** LoRA of convolutions with larger kernels is another kind. */
function expectNoKernel(path: string, { values }: ForeignLayer): void {
  for (const { key, shape } of values.values()) {
    if (shape.length !== 4 || shape.slice(2).every((side) => side === 1)) continue;
    throw new FileFormatError(
      `[adapter] ${path}: tensor '${key}': expected the LoRA of a linear layer or 1×1 convolution, got that of a ${shape[2]}×${shape[3]} convolution (LoCon)`,
      { hint: 'Adapters of larger convolutions cannot be read.' },
    );
  }
}
