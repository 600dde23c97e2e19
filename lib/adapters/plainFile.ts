// Plain LoRA of other programs: y + scale · up·down·x with scale = alpha/rank, no mask.
import { FileFormatError } from '../errors.js';
import { readTensorFloat32, type TensorRef } from '../io/safetensors.js';
import type { AdapterFile, AssumedMask } from './adapterFile.js';
import type { AdaptedLayer } from './adapterSpec.js';
import type { ForeignValue, ResolvedLayer } from './foreignKeys.js';

/** The scale that a file's metadata give a layer, by its path and rank; null: they give none. */
export type ScaleOf = (path: string, rank: number) => number | null;

const FLOATS = ['F32', 'F16', 'BF16', 'F64'];

/** A value of a layer. @throws FileFormatError if it is absent or no floating-point numbers */
export function floatsOf(path: string, { name, key, values }: ResolvedLayer, value: ForeignValue): TensorRef {
  const ref = values.get(value);
  if (ref && FLOATS.includes(ref.dtype) && !ref.shape.includes(0)) return ref;
  const got = ref ? `${ref.dtype} [${ref.shape.join(', ')}]` : 'no such tensor';
  throw new FileFormatError(
    `[adapter] ${path}: ${value} of layer '${name}': expected floating-point numbers, got ${got}`,
    {
      hint: `The adapter is damaged or incomplete: see '${key}'.`,
    },
  );
}

/** A matrix, also as the kernel of a 1×1 convolution. */
export function matrixOf(path: string, layer: ResolvedLayer, value: ForeignValue): [number, number] {
  const { key, shape } = floatsOf(path, layer, value);
  if (shape.length === 2 || (shape.length === 4 && shape[2] === 1 && shape[3] === 1)) return [shape[0]!, shape[1]!];
  throw new FileFormatError(`[adapter] ${path}: tensor '${key}': expected a matrix, got [${shape.join(', ')}]`, {
    hint: 'The adapter is damaged or of another kind.',
  });
}

/** The layer with the rank of its factors, up [out, r] and down [r, in]. @throws FileFormatError where sizes do not fit */
export function adaptedLayer(
  path: string,
  one: ResolvedLayer,
  [up, down]: readonly [ForeignValue, ForeignValue],
): AdaptedLayer {
  const { layer } = one;
  const [out, rank] = matrixOf(path, one, up);
  const [rows, width] = matrixOf(path, one, down);
  if (rank === rows && out === layer.out && width === layer.in) return { ...layer, rank };
  throw new FileFormatError(
    `[adapter] ${path}: layer '${one.name}': expected factors [${layer.out}, r] and [r, ${layer.in}] of the model's '${layer.path}', got [${out}, ${rank}] and [${rows}, ${width}]`,
    { hint: 'The adapter belongs to another kind of model, or is damaged.' },
  );
}

/** The number in a layer's tensor `alpha`; null: it has none. @throws FileFormatError */
export function alphaOf(path: string, layer: ResolvedLayer): number | null {
  const ref = layer.values.get('alpha');
  if (!ref) return null;
  const values = FLOATS.includes(ref.dtype) ? readTensorFloat32(ref) : [];
  if (values.length === 1 && Number.isFinite(values[0])) return values[0]!;
  throw new FileFormatError(
    `[adapter] ${path}: tensor '${ref.key}': expected one finite number, got ${ref.dtype} [${ref.shape.join(', ')}]`,
  );
}

/**
 * The file's LoRA of one model. A layer's scale is alpha/rank: alpha from its own tensor, else from the metadata, else the rank. It is
 * multiplied into `lora_up`.
 */
export function plainAdapter(
  path: string,
  layers: readonly ResolvedLayer[],
  { scales: given, mask }: { scales: ScaleOf; mask: AssumedMask | null },
): AdapterFile {
  const byPath = new Map(layers.map((one) => [one.layer.path, one]));
  const adapted = layers.map((one) => {
    expectOnly(path, one, ['up', 'down', 'alpha']);
    return adaptedLayer(path, one, ['up', 'down']);
  });
  const scales = new Map(
    adapted.map(({ path: layer, rank }) => [layer, scaleOf(path, byPath.get(layer)!, rank, given)]),
  );
  return {
    path,
    info: null,
    mask,
    layers: adapted,
    orthogonal: false,
    drawn: null,
    differences: false,
    text: new Map(),
    change: (name) => {
      const [, layer, kind] = /^(.+)\.(lora_up|lora_down)\.weight$/.exec(name)!;
      const values = readTensorFloat32(floatsOf(path, byPath.get(layer!)!, kind === 'lora_up' ? 'up' : 'down'));
      const scale = scales.get(layer!)!;
      return kind === 'lora_up' && scale !== 1 ? values.map((v) => v * scale) : values;
    },
    start: (name) => {
      throw new FileFormatError(`[adapter] ${path}: start of '${name}': a plain LoRA has none`);
    },
  };
}

function scaleOf(path: string, one: ResolvedLayer, rank: number, metadata: ScaleOf): number {
  const alpha = alphaOf(path, one);
  return alpha === null ? (metadata(one.layer.path, rank) ?? 1) : alpha / rank;
}

/** @throws FileFormatError for a value of another kind of adapter */
export function expectOnly(path: string, { values }: ResolvedLayer, allowed: readonly ForeignValue[]): void {
  for (const [value, { key }] of values) {
    if (allowed.includes(value)) continue;
    throw new FileFormatError(`[adapter] ${path}: tensor '${key}': expected one kind of adapter, got two`, {
      hint: 'The file mixes LoRA with LyCORIS’ T-LoRA.',
    });
  }
}
