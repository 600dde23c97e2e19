import type { TensorToWrite } from '../io/safetensors.js';
import type { AdaptedLayer } from './adapterSpec.js';
import type { AdaptedModel } from './modelLayers.js';
import type { PlainFactors } from './plainFactors.js';

/** A plain LoRA of one layer, for other programs' files. */
export interface PlainLayer extends AdaptedLayer {
  readonly model: AdaptedModel;
  /** Computes its factors. */
  readonly factors: () => PlainFactors;
}

/** What writers of other programs' layouts get. */
export interface PlainAdapter {
  readonly layers: readonly PlainLayer[];
  readonly dtype: 'F32' | 'F16' | 'BF16';
  /** Base name of the file, without its end. */
  readonly name: string;
  /** The words for what was learnt, if they are known. */
  readonly trigger: string | undefined;
  /** More metadata. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The two factors of a layer under their keys. */
export function factorTensors(
  layer: PlainLayer,
  dtype: PlainAdapter['dtype'],
  { up, down }: { up: string; down: string },
): TensorToWrite[] {
  const { in: width, out, rank, convolution, factors } = layer;
  const kernel = convolution ? [1, 1] : [];
  return [
    { key: up, dtype, shape: [out, rank, ...kernel], data: () => factors().up },
    { key: down, dtype, shape: [rank, width, ...kernel], data: () => factors().down },
  ];
}
