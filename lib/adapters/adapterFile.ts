// Our adapter file. For each adapted layer: `<path>.lora_up.weight` [out, r], `.lora_down.weight` [r, in] and, for orthogonal variants,
// `.lora_lambda.weight` [r], which then hold the differences from the start; the start is `<path>.base_up.weight`, `.base_down.weight`,
// `.base_lambda.weight`, or, in a compact file, only its seed and generator in the metadata.
import { FileFormatError } from '../errors.js';
import {
  readSafetensorsHeader,
  readTensorFloat32,
  type SafetensorsFile,
  type TensorRef,
  type TensorToWrite,
  writeSafetensors,
} from '../io/safetensors.js';
import { type AdapterLayout, layerValues, type ValueKind, valueName } from './adapterLayout.js';
import { type AdapterInfo, decodeMetadata, encodeMetadata, type StartRecord } from './adapterMetadata.js';
import { type AdaptedLayer, type AdapterSpec, isOrthogonal } from './adapterSpec.js';
import type { AdaptedModel } from './modelLayers.js';
import { START_GENERATOR } from './start.js';

/** Reads trained values (`params`) and their start (`base`) by the names of the layout. */
export type ReadValue = (buffer: 'params' | 'base', name: string) => Float32Array;

export type AdapterDtype = 'float32' | 'float16' | 'bfloat16';

const STORED = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;

/** An adapter file opened: what it says of itself, and its values, read when asked for. */
export interface AdapterFile {
  readonly path: string;
  /** null: a layout without metadata, such as the authors'. */
  readonly info: AdapterInfo | null;
  readonly layers: readonly AdaptedLayer[];
  readonly orthogonal: boolean;
  /** The rank mask of a file that has no `info`; null: it has none, all components count at every timestep. */
  readonly mask: AssumedMask | null;
  /** What the start is drawn from (drawStart) before the values mean anything; null: it is in the file, or there is none. */
  readonly drawn: DrawnStart | null;
  /** Differences from the start (orthogonal) or the values themselves, and the start, by layout name. */
  readonly change: (name: string) => Float32Array;
  readonly start: (name: string) => Float32Array;
  /** Whether `change` gives differences from the start: false for other programs' files, which hold the values. */
  readonly differences: boolean;
  /** What the file has for the text encoders, by their names. */
  readonly text: ReadonlyMap<AdaptedModel, AdapterFile>;
}

/** A mask from `minRank` at the highest noise to the full rank. */
export interface AssumedMask {
  /** undefined: half the rank. */
  readonly minRank: number | undefined;
  /** The full rank, which layers that are narrower do not have; undefined: that of the layer that has most. */
  readonly maxRank?: number;
  readonly alpha: number;
  /** Training timesteps; undefined: the model's. */
  readonly T?: number;
  /** Components of the file for each rank of the schedule; undefined: 1. */
  readonly perRank?: number;
  /** Whether the file says so. */
  readonly recorded: boolean;
}

/** A start that is not in the file. */
export interface DrawnStart {
  readonly spec: AdapterSpec;
  readonly seed: number;
  /** Factor on a layer's lambda. */
  readonly scale: (path: string) => number;
  /** Whether the file does not name it. */
  readonly assumed: boolean;
}

const baseName = (path: string, kind: ValueKind): string => `${path}.${kind.replace('lora_', 'base_')}.weight`;

/**
 * Writes `adapter.safetensors` atomically.
 * @param options dtype of all values, default float32; compact: keep the start as seed and generator
 * @throws FileWriteError
 */
export async function saveAdapter(
  path: string,
  layout: AdapterLayout,
  info: AdapterInfo,
  read: ReadValue,
  { dtype = 'float32', compact = false }: { dtype?: AdapterDtype; compact?: boolean } = {},
): Promise<void> {
  const stored = STORED[dtype];
  const tensors = layout.layers.flatMap((layer) =>
    layerValues(layer, layout.orthogonal).flatMap(({ kind, shape }): TensorToWrite[] => {
      const name = valueName(layer.path, kind);
      if (!layout.orthogonal) return [{ key: name, dtype: stored, shape, data: () => read('params', name) }];
      const change: TensorToWrite = { key: name, dtype: stored, shape, data: () => difference(read, name) };
      const start = { key: baseName(layer.path, kind), dtype: stored, shape, data: () => read('base', name) };
      return compact ? [change] : [change, start];
    }),
  );
  const { name: generator, version } = START_GENERATOR;
  const start: StartRecord | null = layout.orthogonal ? { stored: !compact, generator, version } : null;
  await writeSafetensors(path, tensors, encodeMetadata(info, start));
}

function difference(read: ReadValue, name: string): Float32Array {
  const start = read('base', name);
  return read('params', name).map((value, i) => value - start[i]!);
}

const KEY = /^(.+)\.(lora_up|lora_down|lora_lambda|base_up|base_down|base_lambda)\.weight$/;

/**
 * Opens one of our adapter files; checks metadata, keys, shapes and types, reads no values.
 * @throws FileFormatError
 */
export function openAdapterFile(path: string): AdapterFile {
  const file = readSafetensorsHeader(path);
  const { info, start } = decodeMetadata(path, file.metadata);
  if (start && !start.stored) expectGenerator(path, start);
  const orthogonal = isOrthogonal(info.spec.variant);
  const compact = start !== null && !start.stored;
  const layers = layersOf(file, info.spec.rank);
  expectExactly(file, layers, { orthogonal, compact });
  const ref = (name: string): TensorRef => file.tensors.get(name)!;
  return {
    path,
    info,
    layers,
    orthogonal,
    mask: null,
    drawn: compact ? { spec: info.spec, seed: info.seed, scale: () => 1, assumed: false } : null,
    differences: orthogonal,
    text: new Map(),
    change: (name) => readTensorFloat32(ref(name)),
    start: (name) => readTensorFloat32(ref(name.replace(/lora_(\w+)\.weight$/, 'base_$1.weight'))),
  };
}

function expectGenerator(path: string, { generator, version }: StartRecord): void {
  if (generator === START_GENERATOR.name && version === START_GENERATOR.version) return;
  throw new FileFormatError(
    `[adapter] ${path}: generator of the start: expected ${START_GENERATOR.name} version ${START_GENERATOR.version}, got ${generator} version ${version}`,
    { hint: 'A compact file needs the version of tlora that wrote it; export it there without --compact.' },
  );
}

/** Layers from the shapes of their factors, in the order of their paths. */
function layersOf({ path, tensors }: SafetensorsFile, rank: number): AdaptedLayer[] {
  const paths = new Set<string>();
  for (const key of tensors.keys()) {
    const [, layer] = KEY.exec(key) ?? [];
    if (layer === undefined) {
      throw new FileFormatError(`[adapter] ${path}: tensor '${key}': expected only adapter keys, got this one`, {
        hint: 'Check that this is an adapter of tlora and not a model or another kind of adapter.',
      });
    }
    paths.add(layer);
  }
  if (paths.size === 0) throw new FileFormatError(`[adapter] ${path}: expected adapted layers, got none`);
  return [...paths].sort().map((layer): AdaptedLayer => {
    const [out, r] = sizes(path, tensors, valueName(layer, 'lora_up'));
    const [, width] = sizes(path, tensors, valueName(layer, 'lora_down'));
    const own = Math.min(rank, width, out);
    if (r !== own) {
      throw new FileFormatError(`[adapter] ${path}: rank of '${layer}': expected ${own}, got ${r}`);
    }
    return { path: layer, in: width, out, rank: r };
  });
}

/** Shape of a matrix of the file. */
export function sizes(path: string, tensors: SafetensorsFile['tensors'], key: string): [number, number] {
  const shape = tensors.get(key)?.shape;
  if (shape?.length !== 2 || shape.includes(0)) {
    const got = shape ? `[${shape}]` : 'no such key';
    throw new FileFormatError(`[adapter] ${path}: tensor '${key}': expected a matrix, got ${got}`, {
      hint: 'The adapter is incomplete or of another kind.',
    });
  }
  return shape as [number, number];
}

/** The file must hold exactly what its layers and variant imply. */
function expectExactly(
  { path, tensors }: SafetensorsFile,
  layers: readonly AdaptedLayer[],
  { orthogonal, compact }: { orthogonal: boolean; compact: boolean },
): void {
  const expected = new Map<string, number[]>();
  for (const layer of layers) {
    for (const { kind, shape } of layerValues(layer, orthogonal)) {
      expected.set(valueName(layer.path, kind), shape);
      if (orthogonal && !compact) expected.set(baseName(layer.path, kind), shape);
    }
  }
  for (const [key, shape] of expected) expectTensor(path, tensors, key, shape);
  const extra = [...tensors.keys()].find((key) => !expected.has(key));
  if (extra !== undefined) {
    throw new FileFormatError(`[adapter] ${path}: tensor '${extra}': expected none of that name, got one`, {
      hint: 'The metadata of the file does not fit its tensors.',
    });
  }
}

/** Throws unless a tensor is there, with this shape and a floating-point type. */
export function expectTensor(
  path: string,
  tensors: SafetensorsFile['tensors'],
  key: string,
  shape: readonly number[],
): void {
  const ref = tensors.get(key);
  const got = ref ? `${ref.dtype} [${ref.shape.join(', ')}]` : 'no such key';
  const float = ref && ['F32', 'F16', 'BF16', 'F64'].includes(ref.dtype);
  if (float && ref.shape.join() === shape.join()) return;
  throw new FileFormatError(
    `[adapter] ${path}: tensor '${key}': expected floating-point numbers [${shape.join(', ')}], got ${got}`,
    { hint: 'The adapter is damaged or incomplete.' },
  );
}
