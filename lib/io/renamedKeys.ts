import { FileFormatError } from '../errors.js';
import type { TensorRef } from './safetensorsHeader.js';

export type ComponentName = 'unet' | 'vae' | 'text_encoder' | 'text_encoder_2';

/** How the VAE's attention was spelt in folders saved by early diffusers, and how it is now. */
const VAE_ATTENTION: Readonly<Record<string, string>> = {
  query: 'to_q',
  key: 'to_k',
  value: 'to_v',
  proj_attn: 'to_out.0',
};
const OLD_VAE_ATTENTION = /(\.attentions\.\d+\.)(query|key|value|proj_attn)(?=\.(weight|bias)$)/;
const VAE_ATTENTION_WEIGHT = /\.attentions\.\d+\.(to_q|to_k|to_v|to_out\.0)\.weight$/;
const BARE_TEXT_KEY = /^(embeddings|encoder|final_layer_norm)\./;

/**
 * The key that today's diffusers and transformers give a stored tensor; undefined for one that no model reads (a text
 * encoder's position_ids).
 */
function canonicalKey(component: ComponentName, key: string): string | undefined {
  switch (component) {
    case 'unet':
      return key;
    case 'vae':
      return key.replace(OLD_VAE_ATTENTION, (_, path: string, name: string) => path + VAE_ATTENTION[name]);
    case 'text_encoder':
    case 'text_encoder_2': {
      const prefixed = BARE_TEXT_KEY.test(key) ? `text_model.${key}` : key;
      return prefixed === 'text_model.embeddings.position_ids' ? undefined : prefixed;
    }
  }
}

/**
 * The tensor under its canonical key: a VAE attention weight stored as a 1×1 convolution [c, c, 1, 1] becomes the
 * linear [c, c].
 */
function canonicalTensor(component: ComponentName, key: string, ref: TensorRef): TensorRef {
  const [rows, columns, height, width] = ref.shape;
  const isConvolution = ref.shape.length === 4 && height === 1 && width === 1;
  if (component !== 'vae' || !isConvolution || !VAE_ATTENTION_WEIGHT.test(key)) return ref;
  return { ...ref, shape: [rows!, columns!] };
}

/**
 * A component's tensors under their canonical keys.
 * @param where the file or folder, for errors
 * @throws FileFormatError if two of them are the same weight
 */
export function canonicalTensors(
  component: ComponentName,
  where: string,
  stored: Iterable<readonly [key: string, ref: TensorRef]>,
): Map<string, TensorRef> {
  const tensors = new Map<string, TensorRef>();
  for (const [key, ref] of stored) {
    const canonical = canonicalKey(component, key);
    if (canonical === undefined) continue;
    const earlier = tensors.get(canonical);
    if (earlier !== undefined) {
      throw new FileFormatError(`${where}: "${earlier.key}" and "${ref.key}" are two spellings of the same weight`, {
        hint: 'The weight file was put together wrongly: download or convert it again.',
      });
    }
    tensors.set(canonical, canonicalTensor(component, canonical, ref));
  }
  return tensors;
}
