/**
 * float32 ↔ float16 (IEEE binary16) and bfloat16, as bit patterns in a Uint16Array. Narrowing rounds to nearest, ties
 * to even; too large becomes infinity; subnormals are kept; a NaN stays a (quiet) NaN.
 */

const word = new Uint32Array(1);
const real = new Float32Array(word.buffer);

/** float16 bits → the float32 of the same value (exact). */
export function float16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(bits.length);
  const outBits = new Uint32Array(out.buffer);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i]!;
    const sign = (half & 0x8000) << 16;
    const magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00) {
      outBits[i] = sign | 0x7f800000 | ((magnitude & 0x3ff) << 13);
    } else if (magnitude >= 0x0400) {
      outBits[i] = sign | ((magnitude << 13) + 0x38000000); // the exponent bias goes from 15 to 127
    } else {
      out[i] = magnitude * 2 ** -24;
      outBits[i]! |= sign;
    }
  }
  return out;
}

/** float32 bits → nearest float16 bits. */
function roundToFloat16(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520, half way from the largest float16 to the next, and above
  if (magnitude >= 0x38800000) {
    const rebiased = magnitude - 0x38000000;
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  if (magnitude <= 0x33000000) return sign; // up to and including 2^-25, half the smallest subnormal
  const shift = 126 - (magnitude >>> 23); // the value is mantissa · 2^-shift in units of 2^-24
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const floor = mantissa >>> shift;
  const rest = mantissa - (floor << shift);
  const half = 1 << (shift - 1);
  return sign | (floor + (rest > half || (rest === half && floor & 1) ? 1 : 0));
}

/** float32 → nearest float16 bits. */
export function float32ToFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    real[0] = values[i]!;
    out[i] = roundToFloat16(word[0]!);
  }
  return out;
}

/** bfloat16 bits → the float32 of the same value (exact): the upper half of its bits. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

/** float32 → nearest bfloat16 bits. */
export function float32ToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    real[0] = values[i]!;
    const x = word[0]!;
    const isNan = (x & 0x7fffffff) > 0x7f800000;
    out[i] = isNan ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}
