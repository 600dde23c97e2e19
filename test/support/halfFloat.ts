// Half-precision bit patterns for tests: round to nearest, ties to even.
import type { DType } from '../../lib/graph/graph.js';

const f32 = new Float32Array(1);
const bits = new Uint32Array(f32.buffer);

function bf16Bits(x: number): number {
  f32[0] = x;
  const u = bits[0]!;
  return ((u + 0x7fff + ((u >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Of values in float32, of at most 65504. */
function f16Bits(x: number): number {
  f32[0] = Math.abs(x);
  const size = bits[0]!;
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  f32[0]! += 0.5; // below 2^-14: the mantissa then counts multiples of 2^-24
  return sign | (bits[0]! - 0x3f000000);
}

function f16Value(h: number): number {
  const exponent = (h >> 10) & 31;
  const mantissa = h & 1023;
  bits[0] = ((exponent + 112) << 23) | (mantissa << 13);
  const size = exponent === 0 ? mantissa * 2 ** -24 : f32[0]!;
  return h & 0x8000 ? -size : size;
}

function bf16Value(h: number): number {
  bits[0] = h << 16;
  return f32[0]!;
}

/** The nearest values that a type holds. */
export function roundTo(values: Float64Array, dtype: DType): Float64Array {
  if (dtype === 'i32') return values;
  if (dtype === 'f32') return Float64Array.from(Float32Array.from(values));
  return Float64Array.from(fromHalf(toHalf(values, dtype), dtype));
}

export function toHalf(values: ArrayLike<number>, dtype: DType): Uint16Array {
  const bitsOf = dtype === 'f16' ? f16Bits : bf16Bits;
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = bitsOf(values[i]!);
  return halves;
}

export function fromHalf(values: Uint16Array, dtype: DType): Float32Array {
  const valueFrom = dtype === 'f16' ? f16Value : bf16Value;
  const floats = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) floats[i] = valueFrom(values[i]!);
  return floats;
}
