// The T-LoRA authors' checkpoint layouts (SDXL and SD attention processors), without metadata. Per projection of an attention module:
// vanilla `<attention>.processor.to_q_lora.down.weight` [r, in] and `.up.weight` [out, r]; orthogonal `.q_layer.weight`, `.p_layer.weight`,
// `.lambda_layer` [1, r] and the frozen start `.base_q.weight`, `.base_p.weight`, `.base_lambda`. `to_out_lora` is our `to_out.0`.
import { FileFormatError } from '../errors.js';
import { readSafetensorsHeader, readTensorFloat32, type TensorToWrite, writeSafetensors } from '../io/safetensors.js';
import { type AdapterFile, expectTensor, type ReadValue, sizes } from './adapterFile.js';
import { type AdapterLayout, layerValues, type ValueKind, valueName } from './adapterLayout.js';
import type { AdaptedLayer } from './adapterSpec.js';

const KEY = /^(?:unet\.)?(.+)\.processor\.(to_q|to_k|to_v|to_out)_lora\.(.+)$/;

/** The rest of a key, by our kind of value. */
type Names = Readonly<Record<ValueKind, string>>;

const VANILLA: Names = { lora_up: 'up.weight', lora_down: 'down.weight', lora_lambda: '' };
const ORTHOGONAL: Names = {
  lora_up: 'p_layer.weight',
  lora_down: 'q_layer.weight',
  lora_lambda: 'lambda_layer',
};
const START: Names = {
  lora_up: 'base_p.weight',
  lora_down: 'base_q.weight',
  lora_lambda: 'base_lambda',
};

/** Our layer path for an official key's module, and back. */
function layerPath(attention: string, projection: string): string {
  return `${attention}.${projection === 'to_out' ? 'to_out.0' : projection}`;
}

function officialPrefix(layer: string): string {
  const [, attention, projection] = /^(.+)\.(to_q|to_k|to_v|to_out)(?:\.0)?$/.exec(layer) ?? [];
  if (attention === undefined) {
    throw new FileFormatError(`[adapter] layer '${layer}': the authors' layout has only to_q, to_k, to_v and to_out.0`);
  }
  return `${attention}.processor.${projection}_lora`;
}

/** Whether a file's keys are of the authors' layouts. */
export function isOfficialKey(key: string): boolean {
  return KEY.test(key);
}

/**
 * Opens a `pytorch_lora_weights.safetensors` of the authors' release. Its metadata (mask, schedule) is not in the file: `info` is null.
 * @throws FileFormatError
 */
export function openOfficialFile(path: string): AdapterFile {
  const { tensors } = readSafetensorsHeader(path);
  const prefixes = prefixesOf(path, [...tensors.keys()]);
  const orthogonal = [...tensors.keys()].some((key) => key.endsWith('.lambda_layer'));
  const names = orthogonal ? ORTHOGONAL : VANILLA;
  const layers = [...prefixes].map(([layer, prefix]): AdaptedLayer => {
    const [out, rank] = sizes(path, tensors, `${prefix}.${names.lora_up}`);
    const [, width] = sizes(path, tensors, `${prefix}.${names.lora_down}`);
    return { path: layer, in: width, out, rank };
  });
  const expected = new Set<string>();
  const expectAll = (layer: AdaptedLayer, keys: Names): void => {
    for (const { kind, shape } of layerValues(layer, orthogonal)) {
      const key = `${prefixes.get(layer.path)}.${keys[kind]}`;
      expectTensor(path, tensors, key, kind === 'lora_lambda' ? [1, ...shape] : shape);
      expected.add(key);
    }
  };
  for (const layer of layers) {
    expectAll(layer, names);
    if (orthogonal) expectAll(layer, START);
  }
  const extra = [...tensors.keys()].find((key) => !expected.has(key));
  if (extra !== undefined)
    throw new FileFormatError(`[adapter] ${path}: tensor '${extra}': expected none of that name`);
  const read = (keys: Names) => (name: string) => {
    const [, layer, kind] = /^(.+)\.(lora_\w+)\.weight$/.exec(name)!;
    return readTensorFloat32(tensors.get(`${prefixes.get(layer!)}.${keys[kind as ValueKind]}`)!);
  };
  return {
    path,
    info: null,
    layers,
    orthogonal,
    // Half the rank at the highest noise and a straight line are the authors' usual settings.
    mask: { minRank: undefined, alpha: 1, recorded: false },
    drawn: null,
    differences: false,
    text: new Map(),
    change: read(names),
    start: read(START),
  };
}

/** Official key prefix by our layer path, sorted by path. */
function prefixesOf(path: string, keys: readonly string[]): Map<string, string> {
  const prefixes = new Map<string, string>();
  for (const key of keys) {
    const [, attention, projection, rest] = KEY.exec(key) ?? [];
    if (attention === undefined) {
      throw new FileFormatError(`[adapter] ${path}: tensor '${key}': expected only the authors' adapter keys`);
    }
    prefixes.set(layerPath(attention, projection!), key.slice(0, -rest!.length - 1));
  }
  return new Map([...prefixes].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Writes the authors' layout, float32: the values themselves, with frozen copies of the start for orthogonal variants.
 * @throws FileFormatError for a layer that the layout has no name for; FileWriteError
 */
export async function saveOfficialFile(path: string, layout: AdapterLayout, read: ReadValue): Promise<void> {
  const tensors = layout.layers.flatMap((layer) => {
    const prefix = officialPrefix(layer.path);
    return layerValues(layer, layout.orthogonal).flatMap(({ kind, shape }) => {
      const stored = kind === 'lora_lambda' ? [1, ...shape] : shape;
      const tensor = (buffer: 'params' | 'base', keys: Names): TensorToWrite => ({
        key: `${prefix}.${keys[kind]}`,
        dtype: 'F32',
        shape: stored,
        data: () => read(buffer, valueName(layer.path, kind)),
      });
      return layout.orthogonal ? [tensor('params', ORTHOGONAL), tensor('base', START)] : [tensor('params', VANILLA)];
    });
  });
  await writeSafetensors(path, tensors, { format: 'pt' });
}
