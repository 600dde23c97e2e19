const twoTo32 = 2 ** 32;

/** A bijection of 32-bit words that spreads every input bit (the "lowbias32" constants of Wellons' hash prospector). */
export function hash32(word: number): number {
  let x = word | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Gives a new value at each call. */
export type Draw = () => number;

/**
 * Uniform values in [0, 1), a multiple of 2⁻³² each: value i is hash(hash(i + k0) + k1) with both keys from (seed,
 * stream). Many times faster than Philox and good enough for pictures and captions; training noise stays with Philox.
 * @param seed an integer from 0 to 2⁵³ − 1
 * @param stream what the draw is for, an integer from 0 to 2³² − 1: streams of one seed are independent
 */
export function uniformDraws(seed: number, stream: number): Draw {
  const high = hash32(Math.floor(seed / twoTo32) + 0x9e3779b9);
  const key0 = hash32((seed % twoTo32) + high);
  const key1 = hash32(hash32(stream + 0x85ebca6b) ^ hash32(key0 + 0x632be5ab) ^ high);
  let index = 0;
  return () => hash32(hash32(key0 + index++) + key1) / twoTo32;
}

/** One of the values, all equally likely. */
export function pick<T>(draw: Draw, values: readonly T[]): T {
  return values[Math.floor(draw() * values.length)]!;
}

/** The values in random order (Fisher–Yates). */
export function shuffled<T>(draw: Draw, values: readonly T[]): T[] {
  const out = [...values];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
