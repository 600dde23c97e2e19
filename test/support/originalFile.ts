// A model folder rewritten as one file in the original layout, by the key map that another converter left behind.
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { elements } from '../../lib/graph/graph.js';
import { readComponentTensors } from '../../lib/io/componentFiles.js';
import { readTensorBytes, type TensorRef, type TensorToWrite, writeSafetensors } from '../../lib/io/safetensors.js';

/** Original keys, each with `component/key` of diffusers; three of them where it holds queries, keys and values below each other. */
export type KeyMap = readonly (readonly [original: string, ours: string | readonly string[]])[];

/** The keys of one of the tiny pipelines of the reference: tiny-sd15, tiny-sd21, tiny-sdxl. */
export function convertersKeys(pipeline: string): KeyMap {
  const file = new URL(`../fixtures/original-keys/${pipeline}.json.br`, import.meta.url);
  return Object.entries(JSON.parse(brotliDecompressSync(readFileSync(file)).toString()) as Record<string, string>);
}

/** What a header says of a tensor. */
export interface Described {
  readonly key: string;
  readonly shape: readonly number[];
}

/** Writes a float16 file of the right size whose values are all 0 and take no room on the disk. */
export function writeHeaders(path: string, tensors: readonly Described[], metadata: Record<string, string> = {}): void {
  let end = 0;
  const entries = tensors.map(({ key, shape }) => {
    const begin = end;
    end += elements(shape) * 2;
    return [key, { dtype: 'F16', shape, data_offsets: [begin, end] }];
  });
  const header = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([length, header]));
  truncateSync(path, 8 + header.length + end);
}

/** A tensor of a diffusers folder in the form that the original layout has. */
function original(key: string, parts: readonly TensorRef[]): TensorToWrite {
  const [{ dtype, shape }] = parts as [TensorRef];
  const [rows = 1, ...sizes] = shape;
  const data = Buffer.concat(parts.map(readTensorBytes));
  const stored = { key, dtype, shape: [rows * parts.length, ...sizes], data: new Uint8Array(data) };
  if (/\.attn_1\.(q|k|v|proj_out)\.weight$/.test(key)) return { ...stored, shape: [rows, ...sizes, 1, 1] };
  if (!key.endsWith('text_projection')) return stored;
  const transposed = { ...parts[0]!, shape: [...sizes, rows], transposed: true as const };
  return { ...stored, shape: transposed.shape, data: readTensorBytes(transposed) };
}

/** Writes the weights of the folder `dir` as one file. @param more tensors beside them */
export async function writeOriginalFile(
  path: string,
  dir: string,
  keys: KeyMap,
  more: readonly TensorToWrite[] = [],
): Promise<void> {
  const components = new Map<string, Map<string, TensorRef>>();
  const find = (name: string): TensorRef => {
    const [component = '', key = ''] = name.split('/');
    const stem = component === 'unet' || component === 'vae' ? 'diffusion_pytorch_model' : 'model';
    const tensors = components.get(component) ?? readComponentTensors(join(dir, component), stem);
    components.set(component, tensors);
    return (tensors.get(key) ?? tensors.get(`text_model.${key}`))!;
  };
  const tensors = keys.map(([key, ours]) =>
    original(
      key,
      [ours].flat().map((name) => find(name as string)),
    ),
  );
  await writeSafetensors(path, [...tensors, ...more]);
}
