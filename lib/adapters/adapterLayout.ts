import type { FrameSlice } from '../ops/retract.js';
import { type FlatLayout, flatLayout } from '../params/flatLayout.js';
import type { AdaptedLayer } from './adapterSpec.js';

/** Where the trained values of all adapters lie: the same in the buffers params, grads, m, v, and base (their start). */
export interface AdapterLayout {
  readonly layers: readonly AdaptedLayer[];
  /** With diagonal values and a subtracted start. */
  readonly orthogonal: boolean;
  readonly flat: FlatLayout;
}

/** The kinds of values of one adapter. */
export type ValueKind = 'lora_up' | 'lora_down' | 'lora_lambda';

/** The name of a trained value, which is its key in the adapter file: `<layer path>.lora_up.weight`. */
export function valueName(path: string, kind: ValueKind): string {
  return `${path}.${kind}.weight`;
}

/** Values of one layer with their shapes: up [out, r], down [r, in], and with a diagonal lambda [r]. */
export function layerValues(layer: AdaptedLayer, orthogonal: boolean): { kind: ValueKind; shape: number[] }[] {
  const { in: width, out, rank } = layer;
  return [
    { kind: 'lora_up', shape: [out, rank] },
    { kind: 'lora_down', shape: [rank, width] },
    ...(orthogonal ? [{ kind: 'lora_lambda' as const, shape: [rank] }] : []),
  ];
}

/** Lays out the adapters of `layers`, layer by layer. */
export function adapterLayout(layers: readonly AdaptedLayer[], orthogonal: boolean): AdapterLayout {
  const values = layers.flatMap((layer) =>
    layerValues(layer, orthogonal).map(({ kind, shape }) => ({ name: valueName(layer.path, kind), shape })),
  );
  return { layers, orthogonal, flat: flatLayout(values) };
}

/** The matrices that `retract` keeps orthonormal: every up's columns and every down's rows. */
export function frameSlices({ layers, flat }: AdapterLayout): FrameSlice[] {
  const offset = (path: string, kind: ValueKind): number => flat.entries.get(valueName(path, kind))!.offset;
  return layers.flatMap(({ path, in: width, out, rank }) => [
    { offset: offset(path, 'lora_up'), length: out, count: rank, transposed: false },
    { offset: offset(path, 'lora_down'), length: width, count: rank, transposed: true },
  ]);
}
