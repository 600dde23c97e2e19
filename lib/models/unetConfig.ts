import { type ConfigReader, configReader } from './configFields.js';

/** Cross-attention of one UNet block. */
export interface UnetAttention {
  /** Number of heads (diffusers' `attention_head_dim`). */
  readonly heads: number;
  /** Transformer blocks in each Transformer2DModel. */
  readonly transformerLayers: number;
  /** Channels of the text states. */
  readonly crossAttentionDim: number;
}

export interface UnetBlock {
  readonly channels: number;
  readonly resnets: number;
  /** null: DownBlock2D or UpBlock2D. */
  readonly attention: UnetAttention | null;
}

/** What a UNet2DConditionModel's config.json says, checked; blocks in network order. */
export interface UnetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Side of the latent that the model was made for, if the config names it. */
  readonly sampleSize: number | null;
  readonly convInKernel: number;
  readonly convOutKernel: number;
  readonly down: readonly UnetBlock[];
  readonly mid: UnetBlock & { readonly attention: UnetAttention };
  readonly up: readonly UnetBlock[];
  readonly downsamplePadding: number;
  readonly normGroups: number;
  readonly normEps: number;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
  readonly timeEmbedDim: number;
  /** SDXL's addition_embed_type text_time: features of each time id, and width of text embedding and features together. */
  readonly textTime: { readonly timeDim: number; readonly inputDim: number } | null;
  readonly crossAttentionDim: number;
}

/** Values that the implemented blocks take for granted; any other would change the result. */
const REQUIRED: Readonly<Record<string, readonly unknown[]>> = {
  act_fn: ['silu', 'swish'],
  attention_type: ['default'],
  center_input_sample: [false],
  class_embed_type: [null],
  class_embeddings_concat: [false],
  cross_attention_norm: [null],
  dropout: [0],
  dual_cross_attention: [false],
  encoder_hid_dim: [null],
  encoder_hid_dim_type: [null],
  mid_block_scale_factor: [1],
  mid_block_type: ['UNetMidBlock2DCrossAttn'],
  num_attention_heads: [null],
  num_class_embeds: [null],
  resnet_out_scale_factor: [1],
  resnet_skip_time_act: [false],
  resnet_time_scale_shift: ['default'],
  time_cond_proj_dim: [null],
  time_embedding_act_fn: [null],
  time_embedding_type: ['positional'],
  timestep_post_act: [null],
};

/** Fields that only other block types, precisions or training programs read. */
const WITHOUT_EFFECT = [
  'addition_embed_type_num_heads',
  'addition_time_embed_dim',
  'decay',
  'inv_gamma',
  'mid_block_only_cross_attention',
  'min_decay',
  'optimization_step',
  'power',
  'projection_class_embeddings_input_dim',
  'update_after_step',
  'upcast_attention',
  'use_ema_warmup',
  'use_linear_projection',
];

/** SDXL's: original height and width, crop top and left, target height and width. */
const TIME_IDS = 6;

/**
 * Checks a UNet's config.json. Absent fields have diffusers' defaults.
 * @throws ConfigError for a value that is not implemented and would change the result, and for unknown fields.
 */
export function readUnetConfig(json: unknown, source = 'unet/config.json'): UnetConfig {
  const read = configReader(source, json);
  for (const [name, values] of Object.entries(REQUIRED)) read.require(name, ...values);
  const blocks = readBlocks(read);
  const normGroups = read.integer('norm_num_groups', 32);
  for (const { channels } of blocks.down) {
    if (channels % normGroups !== 0)
      throw read.fail('block_out_channels', `multiples of norm_num_groups, ${normGroups}`);
  }
  const first = blocks.down[0]!.channels;
  const timeEmbedDim = read.isNull('time_embedding_dim') ? 4 * first : read.integer('time_embedding_dim', 4 * first);
  const inChannels = read.integer('in_channels', 4);
  const outChannels = read.integer('out_channels', 4);
  if (inChannels !== outChannels) throw read.fail('in_channels', `${outChannels}, as out_channels`);
  const config: UnetConfig = {
    ...blocks,
    inChannels,
    outChannels,
    sampleSize: readSampleSize(read),
    convInKernel: readKernel(read, 'conv_in_kernel'),
    convOutKernel: readKernel(read, 'conv_out_kernel'),
    downsamplePadding: read.integer('downsample_padding', 1, 0),
    normGroups,
    normEps: read.number('norm_eps', 1e-5),
    flipSinToCos: read.boolean('flip_sin_to_cos', true),
    freqShift: read.number('freq_shift', 0),
    timeEmbedDim,
    textTime: readTextTime(read),
    crossAttentionDim: blocks.mid.attention.crossAttentionDim,
  };
  read.finish(WITHOUT_EFFECT);
  return config;
}

function readBlocks(read: ConfigReader): Pick<UnetConfig, 'down' | 'mid' | 'up'> {
  const cross = 'CrossAttnDownBlock2D';
  const types = read.strings('down_block_types', [cross, cross, cross, 'DownBlock2D']);
  const count = types.length;
  const hasAttention = readTypes(read, 'down_block_types', types, 'Down');
  const upCross = 'CrossAttnUpBlock2D';
  const upTypes = read.strings('up_block_types', ['UpBlock2D', upCross, upCross, upCross]);
  if (upTypes.length !== count) throw read.fail('up_block_types', `${count} names, as down_block_types`);
  const upHasAttention = readTypes(read, 'up_block_types', upTypes, 'Up');
  const noCross = Array.from({ length: count }, () => false);
  read.require('only_cross_attention', false, noCross);
  const channels = read.integers('block_out_channels', [320, 640, 1280, 1280], count);
  const resnets = read.integers('layers_per_block', 2, count);
  const heads = read.integers('attention_head_dim', 8, count);
  const depth = read.integers('transformer_layers_per_block', 1, count);
  const crossDim = read.integers('cross_attention_dim', 1280, count);
  const upDepth = readUpDepth(read, depth);
  const attention = (i: number, transformerLayers: number): UnetAttention => {
    if (channels[i]! % heads[i]! !== 0) throw read.fail('attention_head_dim', `divisors of the channels ${channels}`);
    return { heads: heads[i]!, transformerLayers, crossAttentionDim: crossDim[i]! };
  };
  const last = count - 1;
  return {
    down: channels.map((c, i) => ({
      channels: c,
      resnets: resnets[i]!,
      attention: hasAttention[i] ? attention(i, depth[i]!) : null,
    })),
    mid: { channels: channels[last]!, resnets: 2, attention: attention(last, depth[last]!) },
    up: upHasAttention.map((has, j) => ({
      channels: channels[last - j]!,
      resnets: resnets[last - j]! + 1,
      attention: has ? attention(last - j, upDepth[j]!) : null,
    })),
  };
}

/** For each block, whether it has cross-attention. */
function readTypes(read: ConfigReader, name: string, types: readonly string[], way: 'Down' | 'Up'): boolean[] {
  const [plain, cross] = [`${way}Block2D`, `CrossAttn${way}Block2D`];
  if (types.length === 0 || types.some((type) => type !== plain && type !== cross)) {
    throw read.fail(name, `a list of ${plain} and ${cross}`);
  }
  return types.map((type) => type === cross);
}

function readUpDepth(read: ConfigReader, depth: readonly number[]): readonly number[] {
  const name = 'reverse_transformer_layers_per_block';
  const reversed = [...depth].reverse();
  return read.isNull(name) ? reversed : read.integers(name, reversed, depth.length);
}

function readKernel(read: ConfigReader, name: string): number {
  const side = read.integer(name, 3);
  if (side % 2 === 0) throw read.fail(name, 'an odd number');
  return side;
}

/** A hint for the resolution only: the model takes any size. */
function readSampleSize(read: ConfigReader): number | null {
  return read.isNull('sample_size') ? null : read.integers('sample_size', 1, 2)[0]!;
}

function readTextTime(read: ConfigReader): UnetConfig['textTime'] {
  if (read.oneOf('addition_embed_type', null, [null, 'text_time']) === null) return null;
  const timeDim = read.integer('addition_time_embed_dim', 0);
  const inputDim = read.integer('projection_class_embeddings_input_dim', 0);
  if (inputDim > TIME_IDS * timeDim) return { timeDim, inputDim };
  throw read.fail('projection_class_embeddings_input_dim', `more than ${TIME_IDS} × addition_time_embed_dim`);
}
