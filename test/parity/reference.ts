import { elements } from '../../lib/graph/graph.js';
import { readSafetensorsHeader, readTensorFloat32, readTensorInt32 } from '../../lib/io/safetensors.js';
import { toChannelsLast } from '../../lib/pipeline/channelsLast.js';

/** One tensor of a reference file, in the file's layout: pictures and latents are [n, c, h, w]. */
export interface ReferenceTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** A reference file: tensors by key, metadata values parsed from JSON. */
export interface Reference {
  readonly path: string;
  readonly keys: readonly string[];
  has(key: string): boolean;
  shape(key: string): readonly number[];
  floats(key: string): Float32Array;
  ints(key: string): Int32Array;
  /** Four-sided tensors turned to [n, h, w, c]; others as they are. */
  channelsLast(key: string): Float32Array;
  /** A value of the header, or undefined. */
  metadata(name: string): unknown;
  number(name: string): number;
  text(name: string): string;
}

const INTEGERS = new Set(['I8', 'I16', 'I32', 'I64', 'U8', 'U16', 'U32', 'BOOL']);

/** [n, c, h, w] of a shape with four sides. */
export function sides(shape: readonly number[]): [number, number, number, number] {
  if (shape.length !== 4) throw new Error(`expected a shape [n, c, h, w], got [${shape}]`);
  return shape as unknown as [number, number, number, number];
}

export function openReference(path: string): Reference {
  const { tensors, metadata } = readSafetensorsHeader(path);
  const ref = (key: string) => {
    const found = tensors.get(key);
    if (!found) throw new Error(`${path}: expected the tensor ${key}, got none`);
    return found;
  };
  const floats = (key: string): Float32Array =>
    INTEGERS.has(ref(key).dtype) ? Float32Array.from(readTensorInt32(ref(key))) : readTensorFloat32(ref(key));
  const value = (name: string): unknown => {
    const text = metadata[name];
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  };
  const typed = <T>(name: string, type: 'number' | 'string'): T => {
    const found = value(name);
    if (typeof found !== type) throw new Error(`${path}: metadata ${name}: expected a ${type}, got ${String(found)}`);
    return found as T;
  };
  return {
    path,
    keys: [...tensors.keys()],
    has: (key) => tensors.has(key),
    shape: (key) => ref(key).shape,
    floats,
    ints: (key) => readTensorInt32(ref(key)),
    channelsLast: (key) => {
      const { shape } = ref(key);
      return shape.length === 4 ? toChannelsLast(floats(key), sides(shape)) : floats(key);
    },
    metadata: value,
    number: (name) => typed<number>(name, 'number'),
    text: (name) => typed<string>(name, 'string'),
  };
}

/** Row `i` of a tensor [n, ...], as stored. */
export function row<T extends Float32Array | Int32Array>(data: T, shape: readonly number[], i: number): T {
  const size = elements(shape.slice(1));
  return data.subarray(i * size, (i + 1) * size) as T;
}

/** The tensors of a file whose keys begin with `prefix`, without it. */
export function below(reference: Reference, prefix: string): Reference {
  const { keys, has, shape, floats, ints, channelsLast } = reference;
  return {
    ...reference,
    keys: keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
    has: (key) => has(prefix + key),
    shape: (key) => shape(prefix + key),
    floats: (key) => floats(prefix + key),
    ints: (key) => ints(prefix + key),
    channelsLast: (key) => channelsLast(prefix + key),
  };
}
