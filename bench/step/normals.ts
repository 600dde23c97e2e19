import { philox4x32 } from '../../lib/random/philox.js';

/** Standard normals of stream `stream`, by Box and Muller. */
export function normals(stream: number, count: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 4) {
    const words = philox4x32([i / 4, 0, 0, 0], [stream, 0]).map((word) => (word + 0.5) / 2 ** 32);
    for (const pair of [0, 2]) {
      const radius = Math.sqrt(-2 * Math.log(words[pair]!));
      values[i + pair] = radius * Math.cos(2 * Math.PI * words[pair + 1]!);
      values[i + pair + 1] = radius * Math.sin(2 * Math.PI * words[pair + 1]!);
    }
  }
  return values;
}
