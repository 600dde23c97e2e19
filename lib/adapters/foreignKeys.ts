// Keys of adapters in other programs' layouts: which model, which of its layers, which value. docs/adapters.md lists them.
import { FileFormatError } from '../errors.js';
import type { SafetensorsFile, TensorRef } from '../io/safetensors.js';
import type { LinearShape } from './adapterSpec.js';
import type { AdaptedModel } from './modelLayers.js';

/** A value of one layer: LoRA's two factors, LyCORIS' three, or the number that scales them. */
export type ForeignValue = 'up' | 'down' | 'alpha' | 'p' | 'q' | 'lambda';

/** The values of one layer, whose name is as the file has it, without its prefix. */
export interface ForeignLayer {
  readonly name: string;
  /** A key of the file, for messages. */
  readonly key: string;
  readonly values: ReadonlyMap<ForeignValue, TensorRef>;
}

/** Prefixes and the model that they stand for; the first that fits counts. */
const PREFIXES: readonly (readonly [RegExp, AdaptedModel])[] = [
  [/^(?:lora|lycoris)_unet_/, 'unet'],
  [/^lora_te1?_/, 'text_encoder'],
  [/^lora_te2_/, 'text_encoder_2'],
  [/^lycoris_(?=text_model_)/, 'text_encoder'],
  [/^lycoris_/, 'unet'],
  [/^text_encoder\.|^(?:text_encoders\.)?clip_l\.transformer\./, 'text_encoder'],
  [/^text_encoder_2\.|^(?:text_encoders\.)?clip_g\.transformer\./, 'text_encoder_2'],
  [/^(?:base_model\.model\.)?(?:unet\.|(?:model\.)?diffusion_model\.)?/, 'unet'],
];

const VALUES: readonly (readonly [RegExp, ForeignValue])[] = [
  [/\.(?:lora_up|lora\.up|lora_linear_layer\.up|lora_B)(?:\.default(?:_\d+)?)?(?:\.weight)?$/, 'up'],
  [/\.(?:lora_down|lora\.down|lora_linear_layer\.down|lora_A)(?:\.default(?:_\d+)?)?(?:\.weight)?$/, 'down'],
  [/\.alpha$/, 'alpha'],
  [/\.p_layer\.weight$/, 'p'],
  [/\.q_layer\.weight$/, 'q'],
  [/\.lambda_layer$/, 'lambda'],
];

/** Kinds of adapters that are known and not read. */
const OTHER_KINDS: readonly (readonly [RegExp, string])[] = [
  [/\.(?:lora_magnitude_vector|dora_scale)(?:\.|$)/, 'DoRA'],
  [/\.hada_/, 'LoHa'],
  [/\.lokr_/, 'LoKr'],
  [/\.lora_mid(?:\.|$)/, 'LoCon with a core (lora_mid)'],
  [/\.oft_|\.boft_|\.oft_R/, 'OFT'],
  [/\.(?:on_input|ia3_l)(?:\.|$)/, 'IA3'],
  [/\.[ab][12]\.weight$/, 'GLoRA'],
  [/\.(?:diff|diff_b|set_weight)$/, 'a difference of whole weights'],
  [/\.lora_[AB]\..*bias$|\.lora_(?:up|down)\.bias$|\.lora_bias/, 'LoRA with biases'],
  [/\.lora_embedding_[AB]|\.modules_to_save\./, 'PEFT with trained embeddings or whole modules'],
  [/^bundle_emb\.|\.(?:emb_params|string_to_param)|^(?:clip_[lg]|emb_params)$/, 'a textual inversion'],
];

/** A layer of a file with the model's layer that it belongs to. */
export interface ResolvedLayer extends ForeignLayer {
  readonly layer: LinearShape;
}

interface ForeignKey {
  model: AdaptedModel;
  layer: string;
  value: ForeignValue;
}

/** Layers of attention as diffusers named them up to 0.21: `attn1.processor.to_out_lora.up` is `attn1.to_out.0.lora.up`. */
function today(key: string): string {
  return key.replace(/\.processor\.(to_[qkv]|to_out)_lora\.(up|down)\./, (_, layer: string, value: string) => {
    return `.${layer === 'to_out' ? 'to_out.0' : layer}.lora.${value}.`;
  });
}

function parseKey(given: string): ForeignKey | null {
  const key = today(given);
  const [suffix, value] = VALUES.find(([pattern]) => pattern.test(key)) ?? [];
  if (!suffix) return null;
  const name = key.replace(suffix, '');
  const [prefix, model] = PREFIXES.find(([pattern]) => pattern.test(name))!;
  return { model, layer: name.replace(prefix, ''), value: value! };
}

/** Whether a file could be an adapter in one of these layouts: some of its keys are. */
export function hasForeignKeys(keys: readonly string[]): boolean {
  return keys.some((key) => parseKey(key) !== null || OTHER_KINDS.some(([pattern]) => pattern.test(key)));
}

/**
 * The layers of a file by model and by their name in it.
 * @throws FileFormatError for kinds of adapters that are not read, keys of no kind, and values given twice
 */
export function foreignLayers({ path, tensors }: SafetensorsFile): Map<AdaptedModel, ForeignLayer[]> {
  const found = new Map<AdaptedModel, Map<string, { key: string; values: Map<ForeignValue, TensorRef> }>>();
  expectKnownKinds(path, [...tensors.keys()]);
  for (const [key, ref] of tensors) {
    const parsed = parseKey(key);
    if (!parsed) {
      throw new FileFormatError(`[adapter] ${path}: tensor '${key}': expected only adapter keys, got this one`, {
        hint: 'The file holds more than one adapter, or is of a kind that tlora does not know.',
      });
    }
    const layers = found.get(parsed.model) ?? new Map<string, { key: string; values: Map<ForeignValue, TensorRef> }>();
    found.set(parsed.model, layers);
    const layer = layers.get(parsed.layer) ?? { key, values: new Map<ForeignValue, TensorRef>() };
    layers.set(parsed.layer, layer);
    const first = layer.values.get(parsed.value);
    if (first) throw twice(path, key, first.key);
    layer.values.set(parsed.value, ref);
  }
  return new Map(
    [...found].map(([model, layers]) => [model, [...layers].map(([name, layer]) => ({ name, ...layer }))]),
  );
}

function expectKnownKinds(path: string, keys: readonly string[]): void {
  for (const [pattern, kind] of OTHER_KINDS) {
    const key = keys.find((name) => pattern.test(name));
    if (key === undefined) continue;
    throw new FileFormatError(`[adapter] ${path}: tensor '${key}': expected LoRA or T-LoRA, got ${kind}`, {
      hint: 'Adapters of this kind cannot be read. The program that made it may be able to extract a plain LoRA.',
    });
  }
}

/** Two keys for the same value of a layer. */
export function twice(path: string, key: string, other: string): FileFormatError {
  return new FileFormatError(`[adapter] ${path}: tensor '${key}': expected each value once, got also '${other}'`, {
    hint: 'The file mixes two adapters, or two layouts of one.',
  });
}
