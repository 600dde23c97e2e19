import { createHash } from 'node:crypto';
import { FileFormatError } from '../errors.js';
import { float32ToFloat16 } from '../io/halfFloat.js';
import { DTYPE_BYTES, readTensorFloat32, type TensorRef } from '../io/safetensors.js';

/** Values of each weight that count. */
const VALUES = 1024;

/**
 * Tells base models apart by their adapted layers: the SHA-256, in lower-case hex, of the following bytes for each weight
 * key `<layer path>.weight`, sorted by UTF-16 code units:
 * the key in UTF-8, a line feed, the sizes of its shape in decimal joined by `x`, a line feed, then its first 1,024 values in row-major
 * order (all, where there are fewer), rounded to float16 (to nearest, ties to even), little-endian.
 *
 * A float32, float16 or bfloat16 copy whose values survive float16 therefore has the same fingerprint.
 * @param tensors the checkpoint by today's diffusers keys, such as `openModelFolder(dir).unet.tensors`
 * @throws FileFormatError if a layer's weight is absent
 */
export function baseFingerprint(tensors: ReadonlyMap<string, TensorRef>, paths: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const key of [...paths].map((path) => `${path}.weight`).sort()) {
    const ref = tensors.get(key);
    if (!ref)
      throw new FileFormatError(`[fingerprint] tensor '${key}': expected it in the base model, got no such key`);
    hash.update(`${key}\n${ref.shape.join('x')}\n`, 'utf8');
    hash.update(littleEndian(float32ToFloat16(firstValues(ref))));
  }
  return hash.digest('hex');
}

function firstValues(ref: TensorRef): Float32Array {
  const elementBytes = DTYPE_BYTES[ref.dtype];
  const count = Math.min(VALUES, ref.bytes / elementBytes);
  return readTensorFloat32({ ...ref, shape: [count], bytes: count * elementBytes });
}

function littleEndian(bits: Uint16Array): Uint8Array {
  const bytes = new Uint8Array(bits.length * 2);
  const view = new DataView(bytes.buffer);
  bits.forEach((value, i) => void view.setUint16(2 * i, value, true));
  return bytes;
}
