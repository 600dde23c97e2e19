// Half-precision bit patterns for tests: round to nearest, ties to even.
import type { DType } from '../../lib/graph/graph.js';

const f32 = new Float32Array(1);
const bits = new Uint32Array(f32.buffer);

function bf16Bits(x: number): number {
  f32[0] = x;
  const u = bits[0]!;
  return ((u + 0x7fff + ((u >>> 16) & 1)) >>> 16) & 0xffff;
}

function evenRound(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}

/** Finite values of at most 65504 only. */
function f16Bits(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 1e-30)));
  const mantissa = evenRound(size * 2 ** (10 - exponent)); // 1024 and more: a normal number
  return sign | ((exponent + 14) * 1024 + mantissa);
}

function f16Value(h: number): number {
  const exponent = (h >> 10) & 31;
  const mantissa = h & 1023;
  const size = exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25);
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
  return Uint16Array.from(values, dtype === 'f16' ? f16Bits : bf16Bits);
}

export function fromHalf(values: Uint16Array, dtype: DType): Float32Array {
  return Float32Array.from(values, dtype === 'f16' ? f16Value : bf16Value);
}
