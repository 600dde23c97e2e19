import { ConfigError, FileFormatError } from '../errors.js';
import { readSafetensorsHeader } from '../io/safetensors.js';
import { type AdapterFile, openAdapterFile } from './adapterFile.js';
import { type AdapterLayout, adapterLayout, layerValues, type ValueKind, valueName } from './adapterLayout.js';
import type { AdaptedLayer } from './adapterSpec.js';
import { alignSigns } from './alignSigns.js';
import { type ForeignOptions, openForeignFile } from './foreignFile.js';
import { hasForeignKeys } from './foreignKeys.js';
import type { LayerMap, PipelineLayers } from './modelLayers.js';
import { isOfficialKey, openOfficialFile } from './officialFile.js';
import type { StateWriter } from './start.js';

/**
 * Opens an adapter in our layout, the T-LoRA authors' two or another program's, whichever it is; reads no values.
 * @param pipeline the model's layers, without which other programs' files cannot be read
 * @throws FileFormatError; ConfigError for a start that only LyCORIS' T-LoRA has, or without the pipeline where it is needed
 */
export function openAdapter(path: string, pipeline?: PipelineLayers, options?: ForeignOptions): AdapterFile {
  const file = openAny(path, pipeline, options);
  if (options?.start === undefined || (file.drawn && !file.info)) return file;
  throw new ConfigError(`components: expected none, as ${path} is no T-LoRA of LyCORIS, got ${options.start}`);
}

function openAny(path: string, pipeline?: PipelineLayers, options?: ForeignOptions): AdapterFile {
  const { tensors, metadata } = readSafetensorsHeader(path);
  if ('tlora.format_version' in metadata) return openAdapterFile(path);
  const keys = [...tensors.keys()];
  if (keys.length > 0 && keys.every(isOfficialKey)) return openOfficialFile(path);
  if (hasForeignKeys(keys)) {
    if (pipeline) return openForeignFile(path, pipeline, options);
    throw new ConfigError(`[adapter] ${path}: expected the model that the adapter is for, got none`, {
      hint: 'Files of other programs name layers in their own ways: only the model tells which are meant.',
    });
  }
  const got = keys.length === 0 ? 'an empty file' : `keys such as '${keys[0]}'`;
  throw new FileFormatError(`[adapter] ${path}: expected an adapter, got ${got}`, {
    hint: 'Adapters of tlora, the T-LoRA authors, PEFT, diffusers, kohya’s scripts and LyCORIS’ T-LoRA can be read.',
  });
}

/**
 * Checks that an adapter fits a model: its layers are layers of the model with the same sizes, and, unless `force`, the
 * model is the one it was trained on.
 * @param base the model's adaptable layers, and its fingerprint over the adapter's layers
 * @throws FileFormatError for layers that do not fit; ConfigError for another base model
 */
export function expectBase(
  file: AdapterFile,
  base: { linears: LayerMap; fingerprint: () => string },
  { force = false }: { force?: boolean } = {},
): void {
  for (const layer of file.layers) {
    const linear = base.linears.get(layer.path);
    const got = linear ? `[${linear.out}, ${linear.in}]` : 'no such layer';
    if (linear?.in === layer.in && linear.out === layer.out) continue;
    throw new FileFormatError(
      `[adapter] ${file.path}: layer '${layer.path}': expected a linear layer [${layer.out}, ${layer.in}] in the model, got ${got}`,
      { hint: 'The adapter belongs to another kind of model.' },
    );
  }
  if (force || file.info === null) return;
  const found = base.fingerprint();
  if (found === file.info.baseFingerprint) return;
  throw new ConfigError(
    `[adapter] ${file.path}: base model: expected fingerprint ${file.info.baseFingerprint}, got ${found}`,
    { hint: 'It was trained on other weights. Use --force to apply it all the same.' },
  );
}

/** The layout that holds a file's adapters. */
export function layoutOf(file: AdapterFile): AdapterLayout {
  return adapterLayout(file.layers, file.orthogonal);
}

/** Where values are written, and for drawn starts read back. */
export interface StateStore extends StateWriter {
  readState(buffer: string, offset: number, count: number): Float32Array;
}

/**
 * Writes an adapter's values into `params` and, for orthogonal variants, its start into `base`. A start that is not in the file must be in
 * `base` before (drawStart with what `file.drawn` says).
 */
export function writeAdapter(file: AdapterFile, layout: AdapterLayout, state: StateStore): void {
  for (const layer of layout.layers) {
    const { values, start } = layerContent(file, layer, (kind) => {
      const { offset, count } = layout.flat.entries.get(valueName(layer.path, kind))!;
      return state.readState('base', offset, count);
    });
    const write = (buffer: string, content: LayerContent): void => {
      for (const [kind, numbers] of content) {
        state.writeState(buffer, layout.flat.entries.get(valueName(layer.path, kind))!.offset, numbers);
      }
    };
    if (start) write('base', start);
    write('params', values);
  }
}

/** The values of one layer, up [out, r], down [r, in], and with an orthogonal start lambda [r]. */
export type LayerContent = ReadonlyMap<ValueKind, Float32Array>;

/**
 * What a file says of a layer: its values, and for orthogonal variants those that it subtracts.
 * @param drawn gives a start that is not in the file as it was drawn
 */
export function layerContent(
  file: AdapterFile,
  layer: AdaptedLayer,
  drawn: (kind: ValueKind) => Float32Array,
): { values: LayerContent; start: LayerContent | null } {
  const kinds = layerValues(layer, file.orthogonal).map(({ kind }) => kind);
  const values = new Map(kinds.map((kind) => [kind, file.change(valueName(layer.path, kind))]));
  if (!file.orthogonal) return { values, start: null };
  const start = new Map(
    kinds.map((kind) => [kind, file.drawn ? drawn(kind) : file.start(valueName(layer.path, kind))]),
  );
  if (file.drawn && !file.differences) {
    const scale = file.drawn.scale(layer.path);
    start.set(
      'lora_lambda',
      start.get('lora_lambda')!.map((v) => v * scale),
    );
    alignSigns(layer, values, start);
  }
  if (file.differences) {
    for (const kind of kinds) {
      const [value, from] = [values.get(kind)!, start.get(kind)!];
      for (let i = 0; i < value.length; i++) value[i]! += from[i]!;
    }
  }
  return { values, start };
}
