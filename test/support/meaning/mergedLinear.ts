import type { Meaning, Tensor64 } from '../interpreter.js';

type Optional = Tensor64 | null | undefined;

/** w + scale · (up·M·Λ·down − up0·M·Λ0·down0), M the first activeRank[0] components. Factors: up, down, lambda, up0, down0, lambda0. */
function merge(w: Tensor64, factors: readonly Optional[], activeRank: Tensor64, scale: number): Float64Array {
  const [up, down, lambda, up0, down0, lambda0] = factors;
  const [out, r] = up!.shape as [number, number];
  const width = down!.shape[1]!;
  const active = Math.max(0, Math.min(activeRank.data[0]!, r));
  const merged = Float64Array.from(w.data);
  for (let o = 0; o < out; o++) {
    for (let j = 0; j < active; j++) {
      const p = scale * up!.data[o * r + j]! * (lambda ? lambda.data[j]! : 1);
      const p0 = up0 ? scale * up0.data[o * r + j]! * lambda0!.data[j]! : 0;
      for (let k = 0; k < width; k++) {
        merged[o * width + k]! += p * down!.data[j * width + k]! - (down0 ? p0 * down0.data[j * width + k]! : 0);
      }
    }
  }
  return merged;
}

const mergedLinear: Meaning = ([x, w, b, ...rest], attrs) => {
  const [out, width] = w!.shape as [number, number];
  const v = merge(w!, rest.slice(0, 6), rest[6]!, attrs.scale!);
  const rows = x!.data.length / width;
  const y = new Float64Array(rows * out);
  for (let i = 0; i < rows; i++) {
    for (let o = 0; o < out; o++) {
      let sum = b ? b.data[o]! : 0;
      for (let k = 0; k < width; k++) sum += x!.data[i * width + k]! * v[o * width + k]!;
      y[i * out + o] = sum;
    }
  }
  return [y];
};

const mergedLinearVjp: Meaning = ([w, ...rest], attrs) => {
  const [out, width] = w!.shape as [number, number];
  const dy = rest[7]!;
  const v = merge(w!, rest.slice(0, 6), rest[6]!, attrs.scale!);
  const rows = dy.data.length / out;
  const dx = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++) {
    for (let o = 0; o < out; o++) {
      for (let k = 0; k < width; k++) dx[i * width + k]! += dy.data[i * out + o]! * v[o * width + k]!;
    }
  }
  return [dx];
};

export const meanings: Record<string, Meaning> = { mergedLinear, mergedLinearVjp };
