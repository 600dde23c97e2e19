// Text encoders of checkpoints of the original layout. CLIP of SD 1.x and the first of SDXL have the keys of transformers; those of OpenCLIP
// (SD 2.x, the second of SDXL) have names, fused projections and a transposed projection of their own.
import type { TensorRef } from './safetensorsHeader.js';

/** diffusers' key and where its tensor lies. */
export type NamedTensor = readonly [key: string, ref: TensorRef];

const WHOLE: Readonly<Record<string, string>> = {
  'token_embedding.weight': 'text_model.embeddings.token_embedding.weight',
  positional_embedding: 'text_model.embeddings.position_embedding.weight',
  'ln_final.weight': 'text_model.final_layer_norm.weight',
  'ln_final.bias': 'text_model.final_layer_norm.bias',
};

const LAYER = /^transformer\.resblocks\.(\d+)\.(.+)$/;

const IN_LAYER: Readonly<Record<string, string>> = {
  ln_1: 'layer_norm1',
  ln_2: 'layer_norm2',
  'mlp.c_fc': 'mlp.fc1',
  'mlp.c_proj': 'mlp.fc2',
  'attn.out_proj': 'self_attn.out_proj',
};

/** The layer of an OpenCLIP key, or null. */
export function openClipLayer(key: string): number | null {
  const found = LAYER.exec(key);
  return found && Number(found[1]);
}

/**
 * The tensors of transformers' CLIP that an OpenCLIP tensor holds; none for a key that such an encoder does not have. The query, key and
 * value rows of `in_proj` [3c, c] become three ranges of the file; `text_projection` [width, projected] is a transposed matrix.
 */
export function openClipTensors(key: string, ref: TensorRef): readonly NamedTensor[] {
  const whole = WHOLE[key];
  if (whole !== undefined) return [[whole, ref]];
  if (key === 'text_projection' && ref.shape.length === 2) {
    const [width, projected] = ref.shape as [number, number];
    return [['text_projection.weight', { ...ref, shape: [projected, width], transposed: true }]];
  }
  const [, layer, path = ''] = LAYER.exec(key) ?? [];
  const ours = `text_model.encoder.layers.${layer}`;
  const [, fused] = /^attn\.in_proj_(weight|bias)$/.exec(path) ?? [];
  if (fused !== undefined) return thirds(ref).map((part, i) => [`${ours}.self_attn.${'qkv'[i]}_proj.${fused}`, part]);
  const [, module = '', tensor] = /^(.+)\.(weight|bias)$/.exec(path) ?? [];
  const name = Object.hasOwn(IN_LAYER, module) ? IN_LAYER[module] : undefined;
  return name === undefined ? [] : [[`${ours}.${name}.${tensor}`, ref]];
}

/** Queries, keys and values below each other; one tensor, if its rows are not a multiple of three. */
function thirds(ref: TensorRef): readonly TensorRef[] {
  const [rows = 0, ...sizes] = ref.shape;
  if (rows % 3 !== 0) return [ref];
  const bytes = ref.bytes / 3;
  return [0, 1, 2].map((i) => ({ ...ref, shape: [rows / 3, ...sizes], offset: ref.offset + i * bytes, bytes }));
}
