import { describe, expect, test } from 'vitest';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '../../lib/io/halfFloat.js';

interface Format {
  name: string;
  exponentBits: number;
  mantissaBits: number;
  widen: (bits: Uint16Array) => Float32Array;
  narrow: (values: Float32Array) => Uint16Array;
}

const formats: Format[] = [
  { name: 'float16', exponentBits: 5, mantissaBits: 10, widen: float16ToFloat32, narrow: float32ToFloat16 },
  { name: 'bfloat16', exponentBits: 8, mantissaBits: 7, widen: bfloat16ToFloat32, narrow: float32ToBfloat16 },
];

const allPatterns = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** The value of a bit pattern by the definition of IEEE 754. */
function meaning(bits: number, { exponentBits, mantissaBits }: Format): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> mantissaBits;
  const fraction = (bits & ((1 << mantissaBits) - 1)) / 2 ** mantissaBits;
  const largest = 2 ** exponentBits - 1;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === largest) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** The float32 next to a positive finite one, up or down. */
function neighbour(value: number, step: 1 | -1): number {
  const real = Float32Array.of(value);
  new Uint32Array(real.buffer)[0]! += step;
  return real[0]!;
}

describe.each(formats)('$name', (format) => {
  const widened = format.widen(allPatterns);

  test('every pattern widens to its meaning, the sign of zero included', () => {
    const expected = Float64Array.from(allPatterns, (bits) => meaning(bits, format));
    const wrong = allPatterns.filter((bits) => !Object.is(widened[bits], expected[bits]));
    expect([...wrong]).toEqual([]);
  });

  test('every pattern that is a number narrows back to itself, NaN to NaN of the same sign', () => {
    const back = format.narrow(widened);
    const again = format.widen(back);
    const wrong = allPatterns.filter((bits) =>
      Number.isNaN(widened[bits]) ? !Number.isNaN(again[bits]) || (back[bits]! ^ bits) & 0x8000 : back[bits] !== bits,
    );
    expect([...wrong]).toEqual([]);
  });

  test('between two neighbours the nearer wins, and in the middle the even one', () => {
    const infinity = (2 ** format.exponentBits - 1) << format.mantissaBits;
    const wrong: number[] = [];
    for (let low = 0; low < infinity; low++) {
      const high = low + 1;
      // Past the largest number the grid goes on as if its exponent did; what would round there is infinite.
      const step = high === infinity ? widened[low]! - widened[low - 1]! : widened[high]! - widened[low]!;
      const middle = widened[low]! + step / 2;
      const even = low % 2 === 0 ? low : high;
      const samples = Float32Array.of(middle, neighbour(middle, -1), neighbour(middle, 1));
      const got = format.narrow(Float32Array.of(...samples, ...samples.map((value) => -value)));
      const expected = [even, low, high];
      expected.push(...expected.map((bits) => bits | 0x8000));
      if (expected.some((bits, i) => got[i] !== bits)) wrong.push(low);
    }
    expect(wrong).toEqual([]);
  });

  test('what is beyond the grid is zero or infinite', () => {
    const infinity = (2 ** format.exponentBits - 1) << format.mantissaBits;
    const big = 3.4028234663852886e38;
    const got = format.narrow(Float32Array.of(big, -big, 1e-45, -1e-45, Number.POSITIVE_INFINITY));
    expect([...got]).toEqual([infinity, infinity | 0x8000, 0, 0x8000, infinity]);
  });
});
