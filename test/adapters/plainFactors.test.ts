import { describe, expect, it } from 'vitest';
import type { ValueKind } from '../../lib/adapters/adapterLayout.js';
import type { AdaptedLayer } from '../../lib/adapters/adapterSpec.js';
import { squaredSize, truncated } from '../../lib/adapters/lowRankSvd.js';
import { type PlainFactors, plainFactors } from '../../lib/adapters/plainFactors.js';
import { float16ToFloat32, float32ToFloat16 } from '../../lib/io/halfFloat.js';
import { standardNormals } from '../../lib/random/philox.js';

const LAYER: AdaptedLayer = { path: 'x', in: 30, out: 20, rank: 4 };
const { in: width, out, rank } = LAYER;

type Values = Map<ValueKind, Float32Array>;

/** Vectors of length about 1, and small lambda, as an orthogonal start has. */
function start(seed: number): Values {
  const draw = (stream: number, count: number, scale: number): Float32Array =>
    standardNormals(seed, stream, count).map((v) => v * scale);
  return new Map<ValueKind, Float32Array>([
    ['lora_up', draw(1, out * rank, out ** -0.5)],
    ['lora_down', draw(2, rank * width, width ** -0.5)],
    ['lora_lambda', draw(3, rank, 1e-3)],
  ]);
}

/** The start moved by `size`, relative to each kind's own. */
function moved(from: Values, size: number): Values {
  return new Map([...from].map(([kind, x], i) => [kind, x.map((v, at) => v * (1 + size * Math.sin(at * 7 + i)))]));
}

/** P·M·Λ·Q − P0·M·Λ0·Q0 in float64, row-major [out, in]. */
function change(values: Values, from: Values | null, active: number): Float64Array {
  const dense = new Float64Array(out * width);
  const add = (sign: number, part: Values): void => {
    const [p, q, l] = (['lora_up', 'lora_down', 'lora_lambda'] as const).map((kind) => part.get(kind));
    for (let o = 0; o < out; o++)
      for (let i = 0; i < width; i++)
        for (let r = 0; r < active; r++)
          dense[o * width + i]! += sign * p![o * rank + r]! * (l?.[r] ?? 1) * q![r * width + i]!;
  };
  add(1, values);
  if (from) add(-1, from);
  return dense;
}

function product({ rank: k, up, down }: PlainFactors, count: number = k): Float64Array {
  const [rows, columns] = [up.length / k, down.length / k];
  const dense = new Float64Array(rows * columns);
  for (let o = 0; o < rows; o++)
    for (let i = 0; i < columns; i++)
      for (let r = 0; r < count; r++) dense[o * columns + i]! += up[o * k + r]! * down[r * columns + i]!;
  return dense;
}

function relative(a: Float64Array, b: Float64Array): number {
  const square = (x: Float64Array): number => x.reduce((sum, v) => sum + v * v, 0);
  return Math.sqrt(square(a.map((v, i) => v - b[i]!)) / square(b));
}

const half = (x: Float32Array): Float32Array => float16ToFloat32(float32ToFloat16(x));

describe('plain factors', () => {
  const from = start(1);
  const values = moved(from, 0.1);

  it('of an orthogonal adapter are its change, their first 2r that of the mask of r', () => {
    const factors = plainFactors(LAYER, { values, start: from });
    expect(factors.rank).toBe(2 * rank);
    for (const r of [1, 2, 4]) expect(relative(product(factors, 2 * r), change(values, from, r))).toBeLessThan(1e-5);
    const first = plainFactors(LAYER, { values, start: from }, 3);
    expect(first.rank).toBe(6);
    expect(relative(product(first), change(values, from, 3))).toBeLessThan(1e-5);
  });

  it('of plain LoRA are its own, up to powers of two', () => {
    const plain = new Map([...values].filter(([kind]) => kind !== 'lora_lambda'));
    const factors = plainFactors(LAYER, { values: plain, start: null }, 2);
    expect(factors.rank).toBe(2);
    expect(relative(product(factors), change(plain, null, 2))).toBeLessThan(1e-6);
  });

  it('keep small changes in float16, where P·ΛQ − P0·Λ0Q0 loses them', () => {
    const near = moved(from, 1e-3);
    const exact = change(near, from, rank);
    const { up, down } = plainFactors(LAYER, { values: near, start: from });
    const ours = relative(product({ rank: 2 * rank, up: half(up), down: half(down) }), exact);
    expect(ours).toBeLessThan(1e-3);
    const scaled = (part: Values): Float32Array =>
      half(part.get('lora_down')!.map((v, i) => v * part.get('lora_lambda')![Math.floor(i / width)]!));
    const direct = product({ rank, up: half(near.get('lora_up')!), down: scaled(near) });
    const base = product({ rank, up: half(from.get('lora_up')!), down: scaled(from) });
    expect(
      relative(
        direct.map((v, i) => v - base[i]!),
        exact,
      ),
    ).toBeGreaterThan(100 * ours);
  });

  it('of an adapter that has learnt nothing are zero', () => {
    const factors = plainFactors(LAYER, { values: from, start: from });
    expect(product(factors).every((v) => v === 0)).toBe(true);
    const { kept, lost, factors: short } = truncated(factors, 3);
    expect([kept, lost, ...product(short)].every((v) => v === 0)).toBe(true);
  });
});

describe('truncated', () => {
  const factors = plainFactors(LAYER, { values: moved(start(1), 0.3), start: start(1) });
  const whole = product(factors);

  it('of all components is as large as the product', () => {
    const expected = whole.reduce((sum, v) => sum + v * v, 0);
    expect(squaredSize(factors) / expected).toBeCloseTo(1, 10);
    expect(truncated(factors, 2 * LAYER.rank).kept / expected).toBeCloseTo(1, 6);
  });

  it('keeps the largest singular values, and says what it loses', () => {
    const errors = [1, 2, 3, 5, 8].map((count) => {
      const { factors: short, kept, lost } = truncated(factors, count);
      expect(short.rank).toBe(count);
      const error = relative(product(short), whole);
      expect(Math.sqrt(lost / (kept + lost))).toBeCloseTo(error, 6);
      return error;
    });
    expect(errors.every((error, i) => i === 0 || error < errors[i - 1]!)).toBe(true);
    expect(errors.at(-1)).toBeLessThan(1e-6);
  });

  it('finds known singular values', () => {
    const [up, down] = [new Float32Array(5 * 3), new Float32Array(3 * 4)];
    for (const [r, sigma] of [2, 5, 3].entries()) {
      up[(r + 1) * 3 + r] = sigma;
      down[r * 4 + r] = 1;
    }
    const { factors: short, kept, lost } = truncated({ rank: 3, up, down }, 1);
    expect([kept, lost]).toEqual([25, 13]);
    const expected = new Float64Array(20);
    expected[2 * 4 + 1] = 5;
    expect(relative(product(short), expected)).toBeLessThan(1e-7);
  });

  it('loses nothing where components depend on each other', () => {
    const twice = { rank: 2, up: Float32Array.of(1, 1, 2, 2), down: Float32Array.of(3, 4, 3, 4) };
    const { factors: one, lost } = truncated(twice, 1);
    expect(lost).toBeLessThan(1e-20);
    expect(relative(product(one), product(twice))).toBeLessThan(1e-7);
  });
});
