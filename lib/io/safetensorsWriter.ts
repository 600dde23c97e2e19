import { FileFormatError } from '../errors.js';
import { writeFileAtomicStream } from './atomicFile.js';
import { float32ToBfloat16, float32ToFloat16 } from './halfFloat.js';
import { DTYPE_BYTES, type SafetensorsDtype } from './safetensorsHeader.js';

type TensorData = Uint8Array | Float32Array | Int32Array;

/** One tensor for `writeSafetensors`. */
export interface TensorToWrite {
  key: string;
  dtype: SafetensorsDtype;
  /** Row-major; [] is a scalar. */
  shape: readonly number[];
  /**
   * Uint8Array: the bytes as stored, of any dtype. Float32Array: for F32, and F16 or BF16 (rounded to nearest, ties to
   * even). Int32Array: for I32. A function is called when the tensor's turn comes, so that not all must be in memory at
   * once.
   */
  data: TensorData | (() => TensorData);
}

/**
 * Writes a safetensors file atomically, one tensor after the other: wide dtypes first, then by key, as the reference
 * writer orders them, so that the same content always gives the same bytes. The data starts at a multiple of 8.
 *
 * @throws FileFormatError for a repeated key or data that does not fit dtype and shape; FileWriteError when the system
 * refuses.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ordered = [...tensors].sort(byDtypeThenKey);
  const header = encodeHeader(path, ordered, metadata);
  await writeFileAtomicStream(path, async (append) => {
    await append(header);
    for (const tensor of ordered) await append(encodeData(path, tensor));
  });
}

const DTYPES = Object.keys(DTYPE_BYTES);

function byDtypeThenKey(a: TensorToWrite, b: TensorToWrite): number {
  const wider = DTYPES.indexOf(b.dtype) - DTYPES.indexOf(a.dtype);
  return wider || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)); // by UTF-8 bytes, which is by code point
}

function byteCount({ dtype, shape }: TensorToWrite): number {
  return shape.reduce((product, side) => product * side, DTYPE_BYTES[dtype]);
}

function encodeHeader(
  path: string,
  ordered: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  const entries = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) entries.set('__metadata__', metadata);
  let begin = 0;
  for (const tensor of ordered) {
    const { key, dtype, shape } = tensor;
    if (key === '__metadata__' || entries.has(key))
      refuse(path, key, 'expected each key once, got it again or a reserved one');
    const end = begin + byteCount(tensor);
    if (!Number.isSafeInteger(end) || !shape.every((side) => Number.isInteger(side) && side >= 0)) {
      refuse(path, key, `shape: expected whole numbers from 0 up, got [${shape}]`);
    }
    entries.set(key, { dtype, shape, data_offsets: [begin, end] });
    begin = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)), 'utf8');
  const padded = Math.ceil(json.length / 8) * 8;
  const header = Buffer.alloc(8 + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded));
  json.copy(header, 8);
  return header;
}

function encodeData(path: string, tensor: TensorToWrite): Uint8Array {
  const data = typeof tensor.data === 'function' ? tensor.data() : tensor.data;
  const stored = toStored(path, tensor, data);
  const expected = byteCount(tensor);
  if (stored.byteLength !== expected) {
    refuse(
      path,
      tensor.key,
      `expected ${expected} bytes for ${tensor.dtype} [${tensor.shape}], got ${stored.byteLength}`,
    );
  }
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

function toStored(path: string, { key, dtype }: TensorToWrite, data: TensorData): TensorData | Uint16Array {
  if (data instanceof Uint8Array) return data;
  if (data instanceof Int32Array) {
    return dtype === 'I32' ? data : refuse(path, key, `an Int32Array is stored as I32, got ${dtype}`);
  }
  switch (dtype) {
    case 'F32':
      return data;
    case 'F16':
      return float32ToFloat16(data);
    case 'BF16':
      return float32ToBfloat16(data);
    default:
      return refuse(path, key, `a Float32Array is stored as F32, F16 or BF16, got ${dtype}`);
  }
}

function refuse(path: string, key: string, what: string): never {
  throw new FileFormatError(`[safetensors] cannot write ${path}: tensor ${JSON.stringify(key)}: ${what}`, {
    hint: 'This is a mistake of the program that calls the writer.',
  });
}
