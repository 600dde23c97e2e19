import type { GeluKind } from '../ops/gelu.js';
import { configReader } from './configFields.js';

/** What a CLIPTextModel's config.json says, checked. */
export interface ClipTextConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Longest input in tokens, 77. */
  readonly maxPositions: number;
  readonly layerNormEps: number;
  readonly activation: GeluKind;
  /** Width of text_projection in a CLIPTextModelWithProjection; null: CLIPTextModel, no projection. */
  readonly projectionDim: number | null;
  /** How the end token is found: see `endTokenIndex`. */
  readonly eosTokenId: number;
}

const ACTIVATIONS: Readonly<Record<string, GeluKind>> = {
  quick_gelu: 'quick',
  gelu: 'erf',
  gelu_new: 'tanh',
  gelu_pytorch_tanh: 'tanh',
};

/** Fields that name the class (model_index.json decides), of training, of the tokenizer, and of transformers' base class that only generation reads. */
const WITHOUT_EFFECT = [
  'architectures',
  'attention_dropout',
  'bos_token_id',
  'dropout',
  'dtype',
  'gradient_checkpointing',
  'initializer_factor',
  'initializer_range',
  'pad_token_id',
  'torch_dtype',
  'transformers_version',
  'output_attentions',
  'output_hidden_states',
  'return_dict',
  'use_cache',
];

/**
 * Checks a text encoder's config.json. Absent fields have transformers' defaults. text_encoder is a CLIPTextModel, text_encoder_2 a
 * CLIPTextModelWithProjection.
 * @throws ConfigError for a value that is not implemented and would change the result, and for unknown fields.
 */
export function readClipTextConfig(json: unknown, component: 'text_encoder' | 'text_encoder_2'): ClipTextConfig {
  const read = configReader(`${component}/config.json`, json);
  read.require('model_type', 'clip_text_model');
  const projectionDim = read.integer('projection_dim', 512);
  const hiddenSize = read.integer('hidden_size', 512);
  const heads = read.integer('num_attention_heads', 8);
  if (hiddenSize % heads !== 0) throw read.fail('num_attention_heads', `a divisor of hidden_size, ${hiddenSize}`);
  const names = Object.keys(ACTIVATIONS);
  const config: ClipTextConfig = {
    vocabSize: read.integer('vocab_size', 49408),
    hiddenSize,
    intermediateSize: read.integer('intermediate_size', 2048),
    layers: read.integer('num_hidden_layers', 12),
    heads,
    maxPositions: read.integer('max_position_embeddings', 77),
    layerNormEps: read.number('layer_norm_eps', 1e-5),
    activation: ACTIVATIONS[read.oneOf('hidden_act', 'quick_gelu', names)]!,
    projectionDim: component === 'text_encoder_2' ? projectionDim : null,
    eosTokenId: read.integer('eos_token_id', 49407, 0),
  };
  read.finish(WITHOUT_EFFECT);
  return config;
}
