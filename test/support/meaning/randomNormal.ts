import { philox4x32, type Words4 } from '../../../lib/random/philox.js';
import type { Meaning } from '../interpreter.js';

/** The words of one counter block of a key given as int32 values. */
export function blockOf(key: ArrayLike<number>, low: number, high = 0): Words4 {
  const word = (i: number): number => key[i]! >>> 0;
  return philox4x32([low, high, word(2), word(3)], [word(0), word(1)]);
}

const uniform = (word: number): number => (word + 0.5) / 2 ** 32;

/** Box–Muller: two normals from two words. */
export function normalPair(a: number, b: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(uniform(a)));
  const angle = 2 * Math.PI * uniform(b);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

export function normalsOf(key: ArrayLike<number>, low: number, high = 0): number[] {
  const [a, b, c, d] = blockOf(key, low, high);
  return [...normalPair(a, b), ...normalPair(c, d)];
}

/** Fills a tensor from one key [4], or one a first index [n, 4], four values a block. */
export function fromStreams(
  keys: { shape: readonly number[]; data: Float64Array },
  size: number,
  of: (key: Float64Array, block: number) => number[],
): Float64Array {
  const streams = keys.shape.length === 1 ? 1 : keys.shape[0]!;
  const each = size / streams;
  return Float64Array.from({ length: size }, (_, i) => {
    const stream = Math.floor(i / each);
    const at = i % each;
    return of(keys.data.subarray(4 * stream, 4 * stream + 4), Math.floor(at / 4))[at % 4]!;
  });
}

const randomNormal: Meaning = ([key], { std }, [y]) => {
  const size = y!.shape.reduce((a, b) => a * b, 1);
  return [fromStreams(key!, size, (words, block) => normalsOf(words, block).map((v) => v * std!))];
};

export const meanings: Record<string, Meaning> = { randomNormal };
