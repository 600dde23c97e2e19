import { ConfigError, FileFormatError } from '../errors.js';
import { readSafetensorsHeader } from '../io/safetensors.js';
import { type AdapterFile, openAdapterFile } from './adapterFile.js';
import { type AdapterLayout, adapterLayout, layerValues, valueName } from './adapterLayout.js';
import type { LinearShape } from './adapterSpec.js';
import { isOfficialKey, openOfficialFile } from './officialFile.js';
import type { StateWriter } from './start.js';

/**
 * Opens an adapter in our layout or the authors' two, whichever it is; reads no values.
 * @throws FileFormatError
 */
export function openAdapter(path: string): AdapterFile {
  const { tensors, metadata } = readSafetensorsHeader(path);
  if ('tlora.format_version' in metadata) return openAdapterFile(path);
  const keys = [...tensors.keys()];
  if (keys.length > 0 && keys.every(isOfficialKey)) return openOfficialFile(path);
  const got = keys.length === 0 ? 'an empty file' : `keys such as '${keys[0]}'`;
  throw new FileFormatError(`[adapter] ${path}: expected an adapter of tlora or of the T-LoRA authors, got ${got}`, {
    hint: 'Adapters in other layouts cannot be read.',
  });
}

/**
 * Checks that an adapter fits a model: its layers are linear layers of the model with the same sizes, and, unless `force`, the
 * model is the one it was trained on.
 * @param base the model's linear layers, and its fingerprint over the adapter's layers
 * @throws FileFormatError for layers that do not fit; ConfigError for another base model
 */
export function expectBase(
  file: AdapterFile,
  base: { linears: ReadonlyMap<string, LinearShape>; fingerprint: () => string },
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

/** Where values are written, and for compact files read back. */
export interface StateStore extends StateWriter {
  readState(buffer: string, offset: number, count: number): Float32Array;
}

/**
 * Writes an adapter's values into `params` and, for orthogonal variants, its start into `base`. Of a compact file the start must be in `base`
 * before (drawStart with the file's spec and seed).
 */
export function writeAdapter(file: AdapterFile, layout: AdapterLayout, state: StateStore): void {
  for (const layer of layout.layers) {
    for (const { kind } of layerValues(layer, layout.orthogonal)) {
      const name = valueName(layer.path, kind);
      const { offset, count } = layout.flat.entries.get(name)!;
      const values = file.change(name);
      if (file.orthogonal) {
        const start = file.compact ? state.readState('base', offset, count) : file.start(name);
        if (!file.compact) state.writeState('base', offset, start);
        if (file.differences) for (let i = 0; i < count; i++) values[i]! += start[i]!;
      }
      state.writeState('params', offset, values);
    }
  }
}
