import { closeSync, openSync } from 'node:fs';
import { FileFormatError } from '../errors.js';
import { openError, readFully } from './fileBytes.js';
import { bfloat16ToFloat32, float16ToFloat32 } from './halfFloat.js';
import { DTYPE_BYTES, type TensorRef } from './safetensorsHeader.js';

/** The tensor's bytes in the order of its shape, in memory of their own (offset 0, so that any typed array can view them). */
export function readTensorBytes(ref: TensorRef): Uint8Array<ArrayBuffer> {
  let file: number;
  try {
    file = openSync(ref.path, 'r');
  } catch (error) {
    throw openError(ref.path, error);
  }
  try {
    const bytes = readFully(file, ref.path, ref.offset, ref.bytes);
    const stored = new Uint8Array(bytes.buffer);
    return ref.transposed ? transposedBytes(ref, stored) : stored;
  } finally {
    closeSync(file);
  }
}

function transposedBytes({ shape, dtype }: TensorRef, stored: Uint8Array): Uint8Array<ArrayBuffer> {
  const [rows, columns] = shape as [number, number];
  const size = DTYPE_BYTES[dtype];
  const bytes = new Uint8Array(stored.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (column * rows + row) * size;
      bytes.set(stored.subarray(from, from + size), (row * columns + column) * size);
    }
  }
  return bytes;
}

/** A floating-point tensor as float32: F16 and BF16 exactly, F64 rounded. Other dtypes are refused. */
export function readTensorFloat32(ref: TensorRef): Float32Array<ArrayBuffer> {
  switch (ref.dtype) {
    case 'F32':
      return new Float32Array(readTensorBytes(ref).buffer);
    case 'F16':
      return float16ToFloat32(new Uint16Array(readTensorBytes(ref).buffer));
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(readTensorBytes(ref).buffer));
    case 'F64':
      return Float32Array.from(new Float64Array(readTensorBytes(ref).buffer));
    default:
      throw wrongDtype(ref, 'F32, F16, BF16 or F64');
  }
}

/** An integer tensor as int32. A 64-bit or unsigned value that does not fit, and any other dtype, is refused. */
export function readTensorInt32(ref: TensorRef): Int32Array<ArrayBuffer> {
  switch (ref.dtype) {
    case 'I32':
      return new Int32Array(readTensorBytes(ref).buffer);
    case 'U8':
    case 'BOOL':
      return Int32Array.from(readTensorBytes(ref));
    case 'I8':
      return Int32Array.from(new Int8Array(readTensorBytes(ref).buffer));
    case 'I16':
      return Int32Array.from(new Int16Array(readTensorBytes(ref).buffer));
    case 'U16':
      return Int32Array.from(new Uint16Array(readTensorBytes(ref).buffer));
    case 'U32':
      return fitted(ref, new Uint32Array(readTensorBytes(ref).buffer));
    case 'I64':
      return fitted(ref, new BigInt64Array(readTensorBytes(ref).buffer));
    case 'U64':
      return fitted(ref, new BigUint64Array(readTensorBytes(ref).buffer));
    default:
      throw wrongDtype(ref, 'an integer dtype');
  }
}

function fitted(ref: TensorRef, values: ArrayLike<number | bigint>): Int32Array<ArrayBuffer> {
  return Int32Array.from(values, (value) => {
    const narrow = Number(value);
    if (narrow === (narrow | 0)) return narrow;
    throw new FileFormatError(
      `[safetensors] ${ref.path}: tensor ${JSON.stringify(ref.key)}: ${value} does not fit int32`,
    );
  });
}

function wrongDtype({ path, key, dtype }: TensorRef, expected: string): FileFormatError {
  return new FileFormatError(
    `[safetensors] ${path}: tensor ${JSON.stringify(key)}: dtype: expected ${expected}, got ${dtype}`,
    {
      hint: 'This file does not hold what was expected of it: check that it is the right one.',
    },
  );
}
