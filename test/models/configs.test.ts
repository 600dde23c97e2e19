import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../lib/errors.js';
import { readAutoencoderConfig } from '../../lib/models/autoencoderConfig.js';
import { readClipTextConfig } from '../../lib/models/clipTextConfig.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';

const sdxl = {
  _class_name: 'UNet2DConditionModel',
  _diffusers_version: '0.19.0.dev0',
  act_fn: 'silu',
  addition_embed_type: 'text_time',
  addition_embed_type_num_heads: 64,
  addition_time_embed_dim: 256,
  attention_head_dim: [5, 10, 20],
  block_out_channels: [320, 640, 1280],
  center_input_sample: false,
  class_embed_type: null,
  class_embeddings_concat: false,
  conv_in_kernel: 3,
  conv_out_kernel: 3,
  cross_attention_dim: 2048,
  cross_attention_norm: null,
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  downsample_padding: 1,
  dual_cross_attention: false,
  encoder_hid_dim: null,
  encoder_hid_dim_type: null,
  flip_sin_to_cos: true,
  freq_shift: 0,
  in_channels: 4,
  layers_per_block: 2,
  mid_block_only_cross_attention: null,
  mid_block_scale_factor: 1,
  mid_block_type: 'UNetMidBlock2DCrossAttn',
  norm_eps: 1e-5,
  norm_num_groups: 32,
  num_attention_heads: null,
  num_class_embeds: null,
  only_cross_attention: false,
  out_channels: 4,
  projection_class_embeddings_input_dim: 2816,
  resnet_out_scale_factor: 1.0,
  resnet_skip_time_act: false,
  resnet_time_scale_shift: 'default',
  sample_size: 128,
  time_cond_proj_dim: null,
  time_embedding_act_fn: null,
  time_embedding_dim: null,
  time_embedding_type: 'positional',
  timestep_post_act: null,
  transformer_layers_per_block: [1, 2, 10],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  upcast_attention: null,
  use_linear_projection: true,
};

describe('readUnetConfig', () => {
  it('gives blocks in network order: heads, depth and channels', () => {
    const config = readUnetConfig(sdxl);
    const attention = (heads: number, transformerLayers: number) => ({
      heads,
      transformerLayers,
      crossAttentionDim: 2048,
    });
    expect(config.down).toEqual([
      { channels: 320, resnets: 2, attention: null },
      { channels: 640, resnets: 2, attention: attention(10, 2) },
      { channels: 1280, resnets: 2, attention: attention(20, 10) },
    ]);
    expect(config.mid).toEqual({ channels: 1280, resnets: 2, attention: attention(20, 10) });
    expect(config.up).toEqual([
      { channels: 1280, resnets: 3, attention: attention(20, 10) },
      { channels: 640, resnets: 3, attention: attention(10, 2) },
      { channels: 320, resnets: 3, attention: null },
    ]);
    expect(config).toMatchObject({ timeEmbedDim: 1280, textTime: { timeDim: 256, inputDim: 2816 }, sampleSize: 128 });
  });

  it("has diffusers' defaults for absent fields: SD 1.x with its own cross_attention_dim", () => {
    const config = readUnetConfig({ cross_attention_dim: 768 });
    expect(config.down.map((block) => block.channels)).toEqual([320, 640, 1280, 1280]);
    expect(config.down.map((block) => block.attention?.heads ?? 0)).toEqual([8, 8, 8, 0]);
    expect(config).toMatchObject({ normGroups: 32, normEps: 1e-5, freqShift: 0, textTime: null, sampleSize: null });
  });

  it.each([
    ['sample_size', 7],
    ['upcast_attention', true],
    ['use_ema_warmup', true],
    ['use_linear_projection', false],
    ['addition_embed_type_num_heads', 1],
    ['_name_or_path', 'somewhere'],
    ['not_known_but_off', false],
    ['only_cross_attention', [false, false, false]],
    ['reverse_transformer_layers_per_block', [10, 2, 1]],
  ])('accepts %s = %j, which changes nothing', (name, value) => {
    expect({ ...readUnetConfig({ ...sdxl, [name]: value }), sampleSize: 128 }).toEqual(readUnetConfig(sdxl));
  });

  it.each([
    ['act_fn', 'gelu'],
    ['addition_embed_type', 'text_image'],
    ['attention_type', 'gated'],
    ['block_out_channels', [320, 640, 1000]],
    ['block_out_channels', [320, 640]],
    ['center_input_sample', true],
    ['class_embed_type', 'timestep'],
    ['conv_in_kernel', 4],
    ['down_block_types', ['DownBlock2D', 'AttnDownBlock2D', 'CrossAttnDownBlock2D']],
    ['down_block_types', []],
    ['dropout', 0.1],
    ['dual_cross_attention', true],
    ['encoder_hid_dim_type', 'text_proj'],
    ['attention_head_dim', [5, 10, 21]],
    ['attention_head_dim', 0],
    ['in_channels', 9],
    ['layers_per_block', 1.5],
    ['mid_block_scale_factor', 2],
    ['mid_block_type', null],
    ['norm_eps', '1e-5'],
    ['norm_num_groups', null],
    ['num_attention_heads', 8],
    ['num_class_embeds', 1000],
    ['only_cross_attention', true],
    ['projection_class_embeddings_input_dim', 1536],
    ['resnet_time_scale_shift', 'scale_shift'],
    ['time_cond_proj_dim', 256],
    ['time_embedding_type', 'fourier'],
    ['transformer_layers_per_block', [1, 2]],
    ['up_block_types', ['UpBlock2D']],
  ])('refuses %s = %j and names the field', (name, value) => {
    const attempt = () => readUnetConfig({ ...sdxl, [name]: value });
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(`[unet/config.json] ${name}: expected `);
    expect(attempt).toThrow(`got ${JSON.stringify(value)}`);
  });

  it('lists unknown fields that are set', () => {
    expect(() => readUnetConfig({ ...sdxl, motion_modules: 2, sag: 'x', other: null })).toThrow(
      '[unet/config.json] expected only known fields, got motion_modules = 2, sag = "x"',
    );
  });

  it('refuses what is no object', () => {
    expect(() => readUnetConfig([])).toThrow('[unet/config.json] expected an object, got []');
  });
});

describe('readAutoencoderConfig', () => {
  const four = (name: string): string[] => [name, name, name, name];
  const vae = {
    block_out_channels: [128, 256, 512, 512],
    down_block_types: four('DownEncoderBlock2D'),
    up_block_types: four('UpDecoderBlock2D'),
    layers_per_block: 2,
    force_upcast: true,
    sample_size: 1024,
    scaling_factor: 0.13025,
  };

  it('reads what matters', () => {
    expect(readAutoencoderConfig(vae)).toEqual({
      inChannels: 3,
      outChannels: 3,
      latentChannels: 4,
      blockOutChannels: [128, 256, 512, 512],
      layersPerBlock: 2,
      normGroups: 32,
      midBlockAddAttention: true,
      useQuantConv: true,
      usePostQuantConv: true,
      scalingFactor: 0.13025,
      forceUpcast: true,
      downscale: 8,
    });
  });

  it.each([
    ['act_fn', 'relu'],
    ['down_block_types', ['AttnDownEncoderBlock2D']],
    ['up_block_types', four('UpDecoderBlock2D').slice(1)],
    ['block_out_channels', [128, 256, 512, 500]],
    ['in_channels', 4],
    ['latents_mean', [0, 0, 0, 0]],
    ['scaling_factor', null],
    ['shift_factor', 0.1159],
    ['use_quant_conv', 'yes'],
  ])('refuses %s = %j and names the field', (name, value) => {
    const attempt = () => readAutoencoderConfig({ ...vae, [name]: value });
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(`[vae/config.json] ${name}: expected `);
  });
});

describe('readClipTextConfig', () => {
  it("has transformers' defaults, and a projection in the second encoder only", () => {
    const defaults = readClipTextConfig({ architectures: ['CLIPTextModel'], torch_dtype: 'float32' }, 'text_encoder');
    expect(defaults).toEqual({
      vocabSize: 49408,
      hiddenSize: 512,
      intermediateSize: 2048,
      layers: 12,
      heads: 8,
      maxPositions: 77,
      layerNormEps: 1e-5,
      activation: 'quick',
      projectionDim: null,
      eosTokenId: 49407,
    });
    expect(readClipTextConfig({ projection_dim: 1280 }, 'text_encoder_2').projectionDim).toBe(1280);
  });

  it.each([
    ['gelu', 'erf'],
    ['gelu_new', 'tanh'],
  ])('knows the activation %s', (hidden_act, kind) => {
    expect(readClipTextConfig({ hidden_act }, 'text_encoder').activation).toBe(kind);
  });

  it.each([
    ['hidden_act', 'relu'],
    ['model_type', 'bert'],
    ['num_attention_heads', 7],
    ['vocab_size', 0],
  ])('refuses %s = %j and names the field', (name, value) => {
    expect(() => readClipTextConfig({ [name]: value }, 'text_encoder_2')).toThrow(
      `[text_encoder_2/config.json] ${name}: expected `,
    );
  });
});
