import type { ValueKind } from './adapterLayout.js';
import type { AdaptedLayer } from './adapterSpec.js';

/**
 * Turns the singular vectors of a start that was drawn again towards the values that were trained from it: each pair of vectors is known up
 * to a common sign. Their product is the same; its small difference from the trained one is computed with less loss.
 * @param start changed in place
 */
export function alignSigns(
  { in: width, out, rank }: AdaptedLayer,
  values: ReadonlyMap<ValueKind, Float32Array>,
  start: ReadonlyMap<ValueKind, Float32Array>,
): void {
  const [up, down] = [values.get('lora_up')!, values.get('lora_down')!];
  const [up0, down0] = [start.get('lora_up')!, start.get('lora_down')!];
  for (let r = 0; r < rank; r++) {
    let along = 0;
    for (let o = 0; o < out; o++) along += up[o * rank + r]! * up0[o * rank + r]!;
    for (let i = 0; i < width; i++) along += down[r * width + i]! * down0[r * width + i]!;
    if (along >= 0) continue;
    for (let o = 0; o < out; o++) up0[o * rank + r]! *= -1;
    for (let i = 0; i < width; i++) down0[r * width + i]! *= -1;
  }
}
