import type { AdaptedLayer } from './adapterSpec.js';
import type { LayerContent } from './openAdapter.js';

/** The factors of a plain LoRA: ΔW = up · down, up [out, rank], down [rank, in]. */
export interface PlainFactors {
  readonly rank: number;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

/**
 * The change of the first `active` components of a layer as a plain LoRA. With an orthogonal start each component i has two:
 * ΔW = Σ (p − p0)·λq + p0·(λq − λ0q0), 2i and 2i + 1, so that the first 2r are the mask of r; both are small where little was learnt, which
 * 16-bit types need. The vectors of a component are scaled by powers of two to about equal size, so that those types hold both.
 */
export function plainFactors(
  { in: width, out, rank }: AdaptedLayer,
  { values, start }: { values: LayerContent; start: LayerContent | null },
  active: number = rank,
): PlainFactors {
  const count = Math.min(active, rank);
  const stack = start ? 2 : 1;
  const factors = {
    rank: stack * count,
    up: new Float32Array(out * stack * count),
    down: new Float32Array(stack * count * width),
  };
  const [up, down] = [values.get('lora_up')!, values.get('lora_down')!];
  for (let i = 0; i < count; i++) {
    const p = (o: number): number => up[o * rank + i]!;
    const q = (at: number): number => down[i * width + at]!;
    if (!start) {
      setComponent(factors, i, p, q);
      continue;
    }
    const [lambda, lambda0] = [values.get('lora_lambda')![i]!, start.get('lora_lambda')![i]!];
    const [up0, down0] = [start.get('lora_up')!, start.get('lora_down')!];
    const p0 = (o: number): number => up0[o * rank + i]!;
    setComponent(
      factors,
      2 * i,
      (o) => p(o) - p0(o),
      (at) => lambda * q(at),
    );
    setComponent(factors, 2 * i + 1, p0, (at) => lambda * q(at) - lambda0 * down0[i * width + at]!);
  }
  return factors;
}

/** Component `k`: u·vᵀ with both of about the same largest value. */
export function setComponent(
  { rank, up, down }: PlainFactors,
  k: number,
  u: (row: number) => number,
  v: (column: number) => number,
): void {
  const [out, width] = [up.length / rank, down.length / rank];
  let [largestU, largestV] = [0, 0];
  for (let o = 0; o < out; o++) largestU = Math.max(largestU, Math.abs(u(o)));
  for (let at = 0; at < width; at++) largestV = Math.max(largestV, Math.abs(v(at)));
  const zero = largestU === 0 || largestV === 0;
  const scale = zero ? 0 : 2 ** Math.round(Math.log2(largestV / largestU) / 2);
  for (let o = 0; o < out; o++) up[o * rank + k] = scale * u(o);
  for (let at = 0; at < width; at++) down[k * width + at] = zero ? 0 : v(at) / scale;
}
