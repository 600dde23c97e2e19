// The configs and tensors of the Stable Diffusion models, and of tiny ones of the same build.
// A tensor is { key, shape, role }: role 'weight' | 'bias' | 'norm' | 'embedding'; a weight's first side is what it
// puts out, the others are its fan-in.

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

const norm = (key, channels) => [
  { key: `${key}.weight`, shape: [channels], role: 'norm' },
  { key: `${key}.bias`, shape: [channels], role: 'bias' },
];
const weight = (key, shape) => [{ key: `${key}.weight`, shape, role: 'weight' }];
const linear = (key, from, to) => [...weight(key, [to, from]), { key: `${key}.bias`, shape: [to], role: 'bias' }];
const conv = (key, from, to, side) => [
  ...weight(key, [to, from, side, side]),
  { key: `${key}.bias`, shape: [to], role: 'bias' },
];
const times = (count, make) => Array.from({ length: count }, (_, i) => make(i)).flat();

/** @param timeWidth width of the time embedding; 0 in the VAE, which has none. */
function resnet(key, from, to, timeWidth) {
  return [
    ...norm(`${key}.norm1`, from),
    ...conv(`${key}.conv1`, from, to, 3),
    ...(timeWidth > 0 ? linear(`${key}.time_emb_proj`, timeWidth, to) : []),
    ...norm(`${key}.norm2`, to),
    ...conv(`${key}.conv2`, to, to, 3),
    ...(from === to ? [] : conv(`${key}.conv_shortcut`, from, to, 1)),
  ];
}

function crossAttention(key, channels, contextWidth) {
  return [
    ...weight(`${key}.to_q`, [channels, channels]),
    ...weight(`${key}.to_k`, [channels, contextWidth]),
    ...weight(`${key}.to_v`, [channels, contextWidth]),
    ...linear(`${key}.to_out.0`, channels, channels),
  ];
}

function transformer(key, channels, layers, { cross_attention_dim: contextWidth, use_linear_projection: isLinear }) {
  const project = (name) => (isLinear ? linear(name, channels, channels) : conv(name, channels, channels, 1));
  return [
    ...norm(`${key}.norm`, channels),
    ...project(`${key}.proj_in`),
    ...times(layers, (i) => {
      const block = `${key}.transformer_blocks.${i}`;
      return [
        ...norm(`${block}.norm1`, channels),
        ...crossAttention(`${block}.attn1`, channels, channels),
        ...norm(`${block}.norm2`, channels),
        ...crossAttention(`${block}.attn2`, channels, contextWidth),
        ...norm(`${block}.norm3`, channels),
        ...linear(`${block}.ff.net.0.proj`, channels, channels * 8),
        ...linear(`${block}.ff.net.2`, channels * 4, channels),
      ];
    }),
    ...project(`${key}.proj_out`),
  ];
}

/** The tensors of a UNet2DConditionModel. */
export function unetTensors(config) {
  const channels = config.block_out_channels;
  const last = channels.length - 1;
  const layers = config.layers_per_block;
  const [first] = channels;
  const timeWidth = first * 4;
  const depth = (i) =>
    Array.isArray(config.transformer_layers_per_block)
      ? config.transformer_layers_per_block[i]
      : config.transformer_layers_per_block;
  const hasAttention = (type) => type.startsWith('CrossAttn');
  const attention = (key, i) => transformer(key, channels[i], depth(i), config);
  const down = times(channels.length, (i) => {
    const block = `down_blocks.${i}`;
    const from = channels[Math.max(0, i - 1)];
    return [
      ...times(layers, (j) => resnet(`${block}.resnets.${j}`, j === 0 ? from : channels[i], channels[i], timeWidth)),
      ...(hasAttention(config.down_block_types[i])
        ? times(layers, (j) => attention(`${block}.attentions.${j}`, i))
        : []),
      ...(i < last ? conv(`${block}.downsamplers.0.conv`, channels[i], channels[i], 3) : []),
    ];
  });
  const up = times(channels.length, (i) => {
    const block = `up_blocks.${i}`;
    const level = last - i;
    const below = channels[Math.min(last, level + 1)];
    const beside = channels[Math.max(0, level - 1)];
    return [
      ...times(layers + 1, (j) => {
        const skip = j === layers ? beside : channels[level];
        return resnet(`${block}.resnets.${j}`, (j === 0 ? below : channels[level]) + skip, channels[level], timeWidth);
      }),
      ...(hasAttention(config.up_block_types[i])
        ? times(layers + 1, (j) => attention(`${block}.attentions.${j}`, level))
        : []),
      ...(i < last ? conv(`${block}.upsamplers.0.conv`, channels[level], channels[level], 3) : []),
    ];
  });
  const added = config.addition_embed_type === 'text_time';
  return [
    ...conv('conv_in', config.in_channels, first, 3),
    ...linear('time_embedding.linear_1', first, timeWidth),
    ...linear('time_embedding.linear_2', timeWidth, timeWidth),
    ...(added ? linear('add_embedding.linear_1', config.projection_class_embeddings_input_dim, timeWidth) : []),
    ...(added ? linear('add_embedding.linear_2', timeWidth, timeWidth) : []),
    ...down,
    ...resnet('mid_block.resnets.0', channels[last], channels[last], timeWidth),
    ...attention('mid_block.attentions.0', last),
    ...resnet('mid_block.resnets.1', channels[last], channels[last], timeWidth),
    ...up,
    ...norm('conv_norm_out', first),
    ...conv('conv_out', first, config.out_channels, 3),
  ];
}

function vaeMiddle(key, channels) {
  const attention = `${key}.attentions.0`;
  return [
    ...resnet(`${key}.resnets.0`, channels, channels, 0),
    ...norm(`${attention}.group_norm`, channels),
    ...['to_q', 'to_k', 'to_v', 'to_out.0'].flatMap((name) => linear(`${attention}.${name}`, channels, channels)),
    ...resnet(`${key}.resnets.1`, channels, channels, 0),
  ];
}

/**
 * One of the VAE's two halves: `levels` of channels in the order they are passed, each but the last followed by a
 * change of size.
 */
function vaeLevels(key, levels, resnets, sampler) {
  return times(levels.length, (i) => [
    ...times(resnets, (j) =>
      resnet(`${key}.${i}.resnets.${j}`, levels[j === 0 ? Math.max(0, i - 1) : i], levels[i], 0),
    ),
    ...(i < levels.length - 1 ? conv(`${key}.${i}.${sampler}.0.conv`, levels[i], levels[i], 3) : []),
  ]);
}

/** The tensors of an AutoencoderKL. */
export function vaeTensors(config) {
  const channels = config.block_out_channels;
  const first = channels[0];
  const last = channels[channels.length - 1];
  const latent = config.latent_channels;
  return [
    ...conv('encoder.conv_in', config.in_channels, first, 3),
    ...vaeLevels('encoder.down_blocks', channels, config.layers_per_block, 'downsamplers'),
    ...vaeMiddle('encoder.mid_block', last),
    ...norm('encoder.conv_norm_out', last),
    ...conv('encoder.conv_out', last, latent * 2, 3),
    ...conv('quant_conv', latent * 2, latent * 2, 1),
    ...conv('post_quant_conv', latent, latent, 1),
    ...conv('decoder.conv_in', latent, last, 3),
    ...vaeMiddle('decoder.mid_block', last),
    ...vaeLevels('decoder.up_blocks', channels.toReversed(), config.layers_per_block + 1, 'upsamplers'),
    ...norm('decoder.conv_norm_out', first),
    ...conv('decoder.conv_out', first, config.out_channels, 3),
  ];
}

/** The tensors of a CLIPTextModel, or of one with projection. */
export function clipTensors(config) {
  const width = config.hidden_size;
  return [
    { key: 'text_model.embeddings.token_embedding.weight', shape: [config.vocab_size, width], role: 'embedding' },
    {
      key: 'text_model.embeddings.position_embedding.weight',
      shape: [config.max_position_embeddings, width],
      role: 'embedding',
    },
    ...times(config.num_hidden_layers, (i) => {
      const layer = `text_model.encoder.layers.${i}`;
      return [
        ...norm(`${layer}.layer_norm1`, width),
        ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((name) =>
          linear(`${layer}.self_attn.${name}`, width, width),
        ),
        ...norm(`${layer}.layer_norm2`, width),
        ...linear(`${layer}.mlp.fc1`, width, config.intermediate_size),
        ...linear(`${layer}.mlp.fc2`, config.intermediate_size, width),
      ];
    }),
    ...norm('text_model.final_layer_norm', width),
    ...(config.architectures[0] === 'CLIPTextModelWithProjection'
      ? weight('text_projection', [config.projection_dim, width])
      : []),
  ];
}

/** The parts of a shape that have weights: folder, file and tensors. */
export function componentsOf(shape) {
  const { unet, vae, text_encoder, text_encoder_2 } = SHAPES[shape];
  const parts = [
    { name: 'unet', file: 'diffusion_pytorch_model.safetensors', config: unet, tensors: unetTensors(unet) },
    { name: 'vae', file: 'diffusion_pytorch_model.safetensors', config: vae, tensors: vaeTensors(vae) },
    { name: 'text_encoder', file: 'model.safetensors', config: text_encoder, tensors: clipTensors(text_encoder) },
  ];
  if (text_encoder_2 === undefined) return parts;
  return [
    ...parts,
    { name: 'text_encoder_2', file: 'model.safetensors', config: text_encoder_2, tensors: clipTensors(text_encoder_2) },
  ];
}
