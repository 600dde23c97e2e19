import { ConfigError } from '../errors.js';

/** Four unsigned 32-bit words. */
export type Words4 = readonly [number, number, number, number];
/** Two unsigned 32-bit words. */
export type Words2 = readonly [number, number];

/** High 32 bits of the 64-bit product of two unsigned 32-bit words, from four 16-bit products. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0;
}

/**
 * Philox4x32 with 10 rounds: a bijection of the counter for every key (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011). All words are unsigned 32-bit.
 */
export function philox4x32(counter: Words4, key: Words2): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = mulHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

// Layout, to be kept by every other implementation:
//   key     = (seed low, seed high)
//   counter = (block low, block high, stream low, stream high)
// low is the value mod 2^32, high its quotient. Seeds, streams and blocks are integers below 2^53, so bits 21…31 of
// stream high are free for the purpose of the draw; draws for different purposes therefore never share a counter.
const purpose = { normals: 0, starts: 0x2000_0000, seeds: 0x4000_0000, timesteps: 0x8000_0000 } as const;

const twoTo32 = 2 ** 32;

function split(name: string, value: number): Words2 {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new ConfigError(`${name}: expected an integer from 0 to ${Number.MAX_SAFE_INTEGER}, got ${value}`);
  }
  return [value % twoTo32, Math.floor(value / twoTo32)];
}

/**
 * The key that ops which draw take: seed low, seed high, stream low, stream high with its purpose, as int32.
 * `randomNormal` with the key of ('normals', seed, stream) gives `standardNormals(seed, stream, …)`.
 * @throws ConfigError for a seed or stream that is not an integer from 0 to 2⁵³ − 1
 */
export function drawKey(use: keyof typeof purpose, seed: number, stream: number): [number, number, number, number] {
  const [low, high] = split('stream', stream);
  const [seedLow, seedHigh] = split('seed', seed);
  return [seedLow | 0, seedHigh | 0, low | 0, high | purpose[use]];
}

/** A function from block number to its four words. */
function blocks(use: keyof typeof purpose, seed: number, stream: number): (block: number) => Words4 {
  const [k0, k1, low, high] = drawKey(use, seed, stream);
  const [key, words] = [[k0 >>> 0, k1 >>> 0] as const, [low >>> 0, high >>> 0] as const];
  return (block) => philox4x32([block % twoTo32, Math.floor(block / twoTo32), ...words], key);
}

/**
 * n independent standard normals, float32. Block b gives values 4b … 4b+3: with u = (word + ½)·2⁻³², the word pairs
 * (0, 1) and (2, 3) each give sqrt(−2 ln u)·cos(2πu') and sqrt(−2 ln u)·sin(2πu') (Box–Muller), in float64, then
 * rounded. The first values do not depend on n.
 * @param stream a number for what the draw is for: other streams of a seed are independent
 */
export function standardNormals(seed: number, stream: number, n: number): Float32Array {
  const blockAt = blocks('normals', seed, stream);
  const out = new Float32Array(n);
  for (let at = 0; at < n; at += 2) {
    const words = blockAt(Math.floor(at / 4));
    const first = at % 4;
    const radius = Math.sqrt(-2 * Math.log((words[first]! + 0.5) / twoTo32));
    const angle = (2 * Math.PI * (words[first + 1]! + 0.5)) / twoTo32;
    out[at] = radius * Math.cos(angle);
    if (at + 1 < n) out[at + 1] = radius * Math.sin(angle);
  }
  return out;
}

/**
 * n uniform integers in [0, T), the timesteps of training step `step`. Value i is ⌊w·T / 2⁶⁴⌋ with the 64-bit w =
 * (word 0: high, word 1: low) of block ⌊i/2⌋ for even i and (word 2: high, word 3: low) for odd i; no value's
 * probability is off 1/T by more than 2⁻⁶⁴.
 * @param T at most 2²⁰, so that every product is exact
 */
export function randomTimesteps(seed: number, step: number, n: number, T: number): Int32Array {
  if (!Number.isInteger(T) || T < 1 || T > 2 ** 20) {
    throw new ConfigError(`T: expected an integer from 1 to ${2 ** 20}, got ${T}`);
  }
  const blockAt = blocks('timesteps', seed, step);
  return Int32Array.from({ length: n }, (_, i) => {
    const words = blockAt(Math.floor(i / 2));
    const [high, low] = i % 2 === 0 ? [words[0], words[1]] : [words[2], words[3]];
    return Math.floor((high * T + Math.floor((low * T) / twoTo32)) / twoTo32);
  });
}

/** A 53-bit seed derived from another: ⌊w / 2¹¹⌋ with w = (word 0: high, word 1: low) of block 0 of stream `index`. */
export function deriveSeed(seed: number, index: number): number {
  const [high, low] = blocks('seeds', seed, index)(0);
  return high * 2 ** 21 + (low >>> 11);
}
