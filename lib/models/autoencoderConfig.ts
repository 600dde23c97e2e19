import { configReader } from './configFields.js';

/** What an AutoencoderKL's config.json says, checked. */
export interface AutoencoderConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly normGroups: number;
  readonly midBlockAddAttention: boolean;
  readonly useQuantConv: boolean;
  readonly usePostQuantConv: boolean;
  /** Latents of the UNet are the autoencoder's times this. */
  readonly scalingFactor: number;
  /** false: its values stay within float16's range. */
  readonly forceUpcast: boolean;
  /** Side of a picture over side of its latent. */
  readonly downscale: number;
}

/**
 * Checks a VAE's config.json. Absent fields have diffusers' defaults.
 * @throws ConfigError for a value that is not implemented and would change the result, and for unknown fields.
 */
export function readAutoencoderConfig(json: unknown, source = 'vae/config.json'): AutoencoderConfig {
  const read = configReader(source, json);
  read.require('act_fn', 'silu', 'swish');
  read.require('shift_factor', null, 0);
  read.require('latents_mean', null);
  read.require('latents_std', null);
  const types = read.strings('down_block_types', ['DownEncoderBlock2D']);
  const count = types.length;
  if (count === 0) throw read.fail('down_block_types', 'at least one name');
  const all = (name: string): string[] => types.map(() => name);
  read.require('down_block_types', all('DownEncoderBlock2D'));
  read.strings('up_block_types', ['UpDecoderBlock2D']);
  read.require('up_block_types', all('UpDecoderBlock2D'));
  const normGroups = read.integer('norm_num_groups', 32);
  const blockOutChannels = read.integers('block_out_channels', [64], count);
  if (blockOutChannels.some((channels) => channels % normGroups !== 0)) {
    throw read.fail('block_out_channels', `multiples of norm_num_groups, ${normGroups}`);
  }
  const config: AutoencoderConfig = {
    inChannels: read.oneOf('in_channels', 3, [3]),
    outChannels: read.oneOf('out_channels', 3, [3]),
    latentChannels: read.integer('latent_channels', 4),
    blockOutChannels,
    layersPerBlock: read.integer('layers_per_block', 1),
    normGroups,
    midBlockAddAttention: read.boolean('mid_block_add_attention', true),
    useQuantConv: read.boolean('use_quant_conv', true),
    usePostQuantConv: read.boolean('use_post_quant_conv', true),
    scalingFactor: read.number('scaling_factor', 0.18215),
    forceUpcast: read.boolean('force_upcast', true),
    downscale: 2 ** (count - 1),
  };
  read.finish(['sample_size']);
  return config;
}
