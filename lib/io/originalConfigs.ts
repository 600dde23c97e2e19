// The configs that a single-file checkpoint stands for, from its keys and shapes, as diffusers' own folders of these models have them. What
// shapes do not tell (heads, normalization, activation, scaling) is what all models of the family share.
import { ConfigError } from '../errors.js';
import { FAMILY_NAMES, type OriginalFamily, type OriginalFile, type OriginalTensors } from './originalFile.js';
import type { ComponentName } from './renamedKeys.js';

type Config = Record<string, unknown>;

/** A config.json for a component, without what has diffusers' defaults. */
export function derivedConfig(file: OriginalFile, name: ComponentName): Config {
  const tensors = file.components.get(name)!;
  if (name === 'unet') return unetConfig(tensors, file.family);
  if (name === 'vae') return vaeConfig(tensors, file.family);
  const isOpenClip = name === 'text_encoder_2' || file.family === 'sd2';
  return isOpenClip ? openClipConfig(tensors, file.family) : clipConfig(tensors);
}

function side(tensors: OriginalTensors, key: string, axis: number): number {
  return tensors.get(key)?.shape[axis] ?? 0;
}

/** How many of `prefix0.`, `prefix1.`, … there are in a row. */
function count(tensors: OriginalTensors, prefix: string): number {
  const keys = [...tensors.keys()];
  let n = 0;
  while (keys.some((key) => key.startsWith(`${prefix}${n}.`))) n++;
  return n;
}

interface DownBlock {
  channels: number;
  resnets: number;
  /** Transformer blocks; 0: no attention. */
  depth: number;
}

/** Resnets and downsamplers follow each other as input_blocks.1, .2, …; a downsampler ends its block. */
function downBlocks(tensors: OriginalTensors): DownBlock[] {
  const blocks: DownBlock[] = [];
  const inputs = count(tensors, 'input_blocks.');
  let open = true;
  for (let i = 1; i < inputs; i++) {
    if (tensors.has(`input_blocks.${i}.0.op.weight`)) {
      open = true;
      continue;
    }
    if (open) blocks.push({ channels: 0, resnets: 0, depth: 0 });
    open = false;
    const block = blocks.at(-1)!;
    block.channels = side(tensors, `input_blocks.${i}.0.out_layers.3.weight`, 0);
    block.resnets++;
    block.depth = Math.max(block.depth, count(tensors, `input_blocks.${i}.1.transformer_blocks.`));
  }
  return blocks;
}

function unetConfig(tensors: OriginalTensors, family: OriginalFamily): Config {
  const blocks = downBlocks(tensors);
  const channels = blocks.map((block) => block.channels);
  const midDepth = count(tensors, 'middle_block.1.transformer_blocks.');
  const hasAttention = blocks.map(({ depth }) => depth > 0);
  const types = (way: string, has: readonly boolean[]): string[] =>
    has.map((attention) => `${attention ? 'CrossAttn' : ''}${way}Block2D`);
  const first = [...tensors].find(([key]) => key.endsWith('.attn2.to_k.weight'));
  return {
    in_channels: side(tensors, 'input_blocks.0.0.weight', 1),
    out_channels: side(tensors, 'out.2.weight', 0),
    down_block_types: types('Down', hasAttention),
    up_block_types: types('Up', [...hasAttention].reverse()),
    block_out_channels: channels,
    layers_per_block: blocks.map(({ resnets }) => resnets),
    transformer_layers_per_block: blocks.map(({ depth }, i) => depth || (i === blocks.length - 1 ? midDepth : 1)),
    cross_attention_dim: first?.[1].shape[1] ?? 0,
    attention_head_dim: family === 'sd1' ? 8 : channels.map((c) => c / 64),
    use_linear_projection: tensors.get('middle_block.1.proj_in.weight')?.shape.length === 2,
    ...(family === 'sdxl' && {
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 256,
      projection_class_embeddings_input_dim: side(tensors, 'label_emb.0.0.weight', 1),
    }),
  };
}

function vaeConfig(tensors: OriginalTensors, family: OriginalFamily): Config {
  const blocks = Array.from({ length: count(tensors, 'encoder.down.') }, (_, i) => `encoder.down.${i}.block.`);
  return {
    block_out_channels: blocks.map((block) => side(tensors, `${block}0.conv1.weight`, 0)),
    down_block_types: blocks.map(() => 'DownEncoderBlock2D'),
    up_block_types: blocks.map(() => 'UpDecoderBlock2D'),
    layers_per_block: count(tensors, blocks[0] ?? 'encoder.down.0.block.'),
    latent_channels: side(tensors, 'decoder.conv_in.weight', 1),
    scaling_factor: family === 'sdxl' ? 0.13025 : 0.18215,
    use_quant_conv: tensors.has('quant_conv.weight'),
    use_post_quant_conv: tensors.has('post_quant_conv.weight'),
  };
}

/** The end token of CLIP's files of that time; it makes transformers take the last position of the largest id. */
const clipCommon = { model_type: 'clip_text_model', eos_token_id: 2 };

function clipConfig(tensors: OriginalTensors): Config {
  // early files lack the prefix
  const root = tensors.has('embeddings.token_embedding.weight') ? '' : 'text_model.';
  const hidden = side(tensors, `${root}embeddings.token_embedding.weight`, 1);
  return {
    ...clipCommon,
    hidden_act: 'quick_gelu',
    vocab_size: side(tensors, `${root}embeddings.token_embedding.weight`, 0),
    max_position_embeddings: side(tensors, `${root}embeddings.position_embedding.weight`, 0),
    hidden_size: hidden,
    projection_dim: hidden,
    num_attention_heads: hidden / 64,
    num_hidden_layers: count(tensors, `${root}encoder.layers.`),
    intermediate_size: side(tensors, `${root}encoder.layers.0.mlp.fc1.weight`, 0),
  };
}

/** Layers of the OpenCLIP of SD 2.x, whose last one is not read. */
const SD2_LAYERS = 24;

function openClipConfig(tensors: OriginalTensors, family: OriginalFamily): Config {
  const hidden = side(tensors, 'token_embedding.weight', 1);
  const layers = count(tensors, 'transformer.resblocks.');
  return {
    ...clipCommon,
    hidden_act: 'gelu',
    vocab_size: side(tensors, 'token_embedding.weight', 0),
    max_position_embeddings: side(tensors, 'positional_embedding', 0),
    hidden_size: hidden,
    projection_dim: side(tensors, 'text_projection', 1) || hidden,
    num_attention_heads: hidden / 64,
    num_hidden_layers: family === 'sd2' && layers === SD2_LAYERS ? SD2_LAYERS - 1 : layers,
    intermediate_size: side(tensors, 'transformer.resblocks.0.mlp.c_fc.weight', 0),
  };
}

/**
 * The scheduler_config.json of a family.
 * @throws ConfigError for SD 2.x where the file has no metadata of it: some of these models predict noise and some v
 */
export function derivedScheduler({ path, family, predictsV, zeroTerminalSnr, prediction }: OriginalFile): Config {
  const type = predictsV ? 'v_prediction' : prediction;
  if (family === 'sd2' && type === undefined) {
    throw new ConfigError(`config: expected scheduler/scheduler_config.json in it for ${path}, got none`, {
      hint: `Some models of ${FAMILY_NAMES.sd2} predict noise and some v, which this file does not tell: copy the scheduler folder of the diffusers version of this model, which has prediction_type.`,
    });
  }
  return {
    _class_name: 'DDIMScheduler',
    num_train_timesteps: 1000,
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    prediction_type: type ?? 'epsilon',
    rescale_betas_zero_snr: zeroTerminalSnr,
    timestep_spacing: 'leading',
    steps_offset: 1,
    clip_sample: false,
    set_alpha_to_one: false,
  };
}

/** Side of the latents that a model was made for; SD 2.x comes in two sizes, of which the larger ones predict v. */
export function derivedSampleSize(family: OriginalFamily, scheduler: Readonly<Config>): number {
  if (family === 'sdxl') return 128;
  return family === 'sd2' && scheduler.prediction_type === 'v_prediction' ? 96 : 64;
}
