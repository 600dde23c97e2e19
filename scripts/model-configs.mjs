// The configs of the Stable Diffusion models, of tiny ones of the same build, and of a small one.

const SD_BLOCKS = {
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
};
const SD_TINY_BLOCKS = {
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
};
const SDXL_BLOCKS = {
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
};

const unetConfig = (fields) => ({
  _class_name: 'UNet2DConditionModel',
  act_fn: 'silu',
  center_input_sample: false,
  downsample_padding: 1,
  flip_sin_to_cos: true,
  freq_shift: 0,
  in_channels: 4,
  layers_per_block: 2,
  mid_block_scale_factor: 1,
  mid_block_type: 'UNetMidBlock2DCrossAttn',
  norm_eps: 1e-5,
  norm_num_groups: 32,
  out_channels: 4,
  transformer_layers_per_block: 1,
  use_linear_projection: false,
  ...fields,
});

const vaeConfig = (fields) => ({
  _class_name: 'AutoencoderKL',
  act_fn: 'silu',
  block_out_channels: [128, 256, 512, 512],
  down_block_types: Array(4).fill('DownEncoderBlock2D'),
  in_channels: 3,
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  out_channels: 3,
  sample_size: 512,
  scaling_factor: 0.18215,
  up_block_types: Array(4).fill('UpDecoderBlock2D'),
  ...fields,
});

const clipConfig = (fields) => ({
  architectures: ['CLIPTextModel'],
  attention_dropout: 0,
  bos_token_id: 0,
  eos_token_id: 2,
  hidden_act: 'quick_gelu',
  hidden_size: 768,
  intermediate_size: 3072,
  layer_norm_eps: 1e-5,
  max_position_embeddings: 77,
  model_type: 'clip_text_model',
  num_attention_heads: 12,
  num_hidden_layers: 12,
  pad_token_id: 1,
  projection_dim: 768,
  vocab_size: 49408,
  ...fields,
});

const schedulerConfig = (fields) => ({
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  prediction_type: 'epsilon',
  steps_offset: 1,
  clip_sample: false,
  set_alpha_to_one: false,
  ...fields,
});

const tinyUnet = { block_out_channels: [16, 32, 48], norm_num_groups: 8, sample_size: 16 };
const tinyVae = { block_out_channels: [16, 16, 32, 32], layers_per_block: 1, norm_num_groups: 4, sample_size: 128 };
const tinyClip = {
  hidden_size: 24,
  intermediate_size: 96,
  num_attention_heads: 4,
  num_hidden_layers: 4,
  projection_dim: 24,
};
const pndm = schedulerConfig({ _class_name: 'PNDMScheduler', skip_prk_steps: true });
const euler = schedulerConfig({
  _class_name: 'EulerDiscreteScheduler',
  interpolation_type: 'linear',
  timestep_spacing: 'leading',
  use_karras_sigmas: false,
});

/** Configs by shape name, in the layout of a pipeline folder. */
export const SHAPES = {
  sd15: {
    unet: unetConfig({
      ...SD_BLOCKS,
      attention_head_dim: 8,
      block_out_channels: [320, 640, 1280, 1280],
      cross_attention_dim: 768,
      sample_size: 64,
    }),
    vae: vaeConfig({}),
    text_encoder: clipConfig({}),
    scheduler: pndm,
  },
  sd21: {
    unet: unetConfig({
      ...SD_BLOCKS,
      attention_head_dim: [5, 10, 20, 20],
      block_out_channels: [320, 640, 1280, 1280],
      cross_attention_dim: 1024,
      sample_size: 96,
      use_linear_projection: true,
    }),
    vae: vaeConfig({ sample_size: 768 }),
    text_encoder: clipConfig({
      hidden_act: 'gelu',
      hidden_size: 1024,
      intermediate_size: 4096,
      num_attention_heads: 16,
      num_hidden_layers: 23,
      projection_dim: 512,
    }),
    scheduler: schedulerConfig({ _class_name: 'DDIMScheduler', prediction_type: 'v_prediction' }),
  },
  sdxl: {
    unet: unetConfig({
      ...SDXL_BLOCKS,
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 256,
      attention_head_dim: [5, 10, 20],
      block_out_channels: [320, 640, 1280],
      cross_attention_dim: 2048,
      projection_class_embeddings_input_dim: 2816,
      sample_size: 128,
      transformer_layers_per_block: [1, 2, 10],
      use_linear_projection: true,
    }),
    vae: vaeConfig({ sample_size: 1024, scaling_factor: 0.13025 }),
    text_encoder: clipConfig({}),
    text_encoder_2: clipConfig({
      architectures: ['CLIPTextModelWithProjection'],
      hidden_act: 'gelu',
      hidden_size: 1280,
      intermediate_size: 5120,
      num_attention_heads: 20,
      num_hidden_layers: 32,
      projection_dim: 1280,
    }),
    scheduler: euler,
  },
  mini: {
    unet: unetConfig({
      ...SDXL_BLOCKS,
      attention_head_dim: [1, 2, 4],
      block_out_channels: [64, 128, 256],
      cross_attention_dim: 192,
      layers_per_block: 1,
      sample_size: 16,
      use_linear_projection: true,
    }),
    vae: vaeConfig({
      block_out_channels: [32, 64, 128],
      down_block_types: Array(3).fill('DownEncoderBlock2D'),
      layers_per_block: 1,
      norm_num_groups: 16,
      sample_size: 64,
      up_block_types: Array(3).fill('UpDecoderBlock2D'),
    }),
    text_encoder: clipConfig({
      hidden_size: 192,
      intermediate_size: 768,
      max_position_embeddings: 32,
      num_attention_heads: 3,
      num_hidden_layers: 4,
      projection_dim: 192,
    }),
    scheduler: pndm,
  },
  'tiny-sd15': {
    unet: unetConfig({ ...SD_TINY_BLOCKS, ...tinyUnet, attention_head_dim: 2, cross_attention_dim: 24 }),
    vae: vaeConfig(tinyVae),
    text_encoder: clipConfig(tinyClip),
    scheduler: pndm,
  },
  'tiny-sdxl': {
    unet: unetConfig({
      ...SDXL_BLOCKS,
      ...tinyUnet,
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 8,
      attention_head_dim: [2, 4, 6],
      cross_attention_dim: 40,
      projection_class_embeddings_input_dim: 64,
      transformer_layers_per_block: [1, 1, 2],
      use_linear_projection: true,
    }),
    vae: vaeConfig({ ...tinyVae, scaling_factor: 0.13025 }),
    text_encoder: clipConfig(tinyClip),
    text_encoder_2: clipConfig({
      architectures: ['CLIPTextModelWithProjection'],
      hidden_act: 'gelu',
      hidden_size: 16,
      intermediate_size: 64,
      num_attention_heads: 2,
      num_hidden_layers: 5,
      projection_dim: 16,
    }),
    scheduler: euler,
  },
};
