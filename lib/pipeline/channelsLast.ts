/** [n, c, h, w], as files and other programs have it, to [n, h, w, c], as graphs have it. */
export function toChannelsLast(x: Float32Array, [n, c, h, w]: readonly [number, number, number, number]): Float32Array {
  const y = new Float32Array(x.length);
  const pixels = h * w;
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < c; k++) {
      const from = (i * c + k) * pixels;
      for (let p = 0; p < pixels; p++) y[(i * pixels + p) * c + k] = x[from + p]!;
    }
  }
  return y;
}

/** [n, h, w, c] to [n, c, h, w]. */
export function toChannelsFirst(
  x: Float32Array,
  [n, h, w, c]: readonly [number, number, number, number],
): Float32Array {
  const y = new Float32Array(x.length);
  const pixels = h * w;
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < c; k++) {
      const to = (i * c + k) * pixels;
      for (let p = 0; p < pixels; p++) y[to + p] = x[(i * pixels + p) * c + k]!;
    }
  }
  return y;
}
