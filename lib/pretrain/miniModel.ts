import { betasOf, type NoiseCurve } from './noiseCurve.js';

/** A config.json. */
export type Config = Readonly<Record<string, unknown>>;

/** The configs of one text-to-image model, in the layout of a pipeline folder. */
export interface ModelConfigs {
  readonly vae: Config;
  readonly unet: Config;
  readonly text_encoder: Config;
  readonly scheduler: Config;
}

/** Side of the pictures, pixels. */
export const PICTURE_SIDE = 64;
/** Tokens of a caption, start and end included. */
export const CAPTION_TOKENS = 32;

const VAE: Config = {
  _class_name: 'AutoencoderKL',
  act_fn: 'silu',
  block_out_channels: [32, 64, 96],
  down_block_types: Array(3).fill('DownEncoderBlock2D'),
  in_channels: 3,
  latent_channels: 4,
  layers_per_block: 1,
  norm_num_groups: 16,
  out_channels: 3,
  sample_size: PICTURE_SIDE,
  scaling_factor: 1,
  up_block_types: Array(3).fill('UpDecoderBlock2D'),
};

const UNET: Config = {
  _class_name: 'UNet2DConditionModel',
  act_fn: 'silu',
  attention_head_dim: [1, 2, 3],
  block_out_channels: [64, 128, 192],
  center_input_sample: false,
  cross_attention_dim: 128,
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  downsample_padding: 1,
  flip_sin_to_cos: true,
  freq_shift: 0,
  in_channels: 4,
  layers_per_block: 1,
  mid_block_scale_factor: 1,
  mid_block_type: 'UNetMidBlock2DCrossAttn',
  norm_eps: 1e-5,
  norm_num_groups: 16,
  out_channels: 4,
  sample_size: PICTURE_SIDE / 4,
  transformer_layers_per_block: 1,
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  use_linear_projection: true,
};

const TEXT_ENCODER: Config = {
  architectures: ['CLIPTextModel'],
  attention_dropout: 0,
  hidden_act: 'quick_gelu',
  hidden_size: 128,
  intermediate_size: 512,
  layer_norm_eps: 1e-5,
  max_position_embeddings: CAPTION_TOKENS,
  model_type: 'clip_text_model',
  num_attention_heads: 2,
  num_hidden_layers: 4,
  projection_dim: 128,
};

/**
 * By the probe (`npm run pretrain -- --stage probe`), background and position of noisy latents are seen in four of five pictures where log-SNR
 * is −1.3. The shift puts that at t = 800, where pictures of 512 × 512 lose their layout in Stable Diffusion's schedule.
 */
const NOISE: NoiseCurve = { first: 7, last: -6, shift: 0.8 };
const TRAIN_TIMESTEPS = 1000;

const SCHEDULER: Config = {
  _class_name: 'EulerDiscreteScheduler',
  num_train_timesteps: TRAIN_TIMESTEPS,
  prediction_type: 'v_prediction',
  steps_offset: 1,
  timestep_spacing: 'trailing',
  trained_betas: betasOf(NOISE, TRAIN_TIMESTEPS),
};

/** The mini model's configs for a vocabulary, whose last two ids are the start and the end token. */
export function miniConfigs(vocabularySize: number): ModelConfigs {
  const end = vocabularySize - 1;
  const ids = { bos_token_id: end - 1, eos_token_id: end, pad_token_id: end, vocab_size: vocabularySize };
  return { vae: VAE, unet: UNET, text_encoder: { ...TEXT_ENCODER, ...ids }, scheduler: SCHEDULER };
}
