// The names of modules in checkpoints of the original layout (CompVis, Stability), and what diffusers calls them.
// "Original" here is a path below `model.diffusion_model.` or `first_stage_model.`.

/** diffusers' module paths, each with the original one. No path begins with another one of the map. */
export type ModuleNames = ReadonlyMap<string, string>;

/** What the names depend on: `UnetConfig` has it. Blocks in network order; attention is null where a block has none. */
export interface UnetBlocks {
  readonly down: readonly UnetBlockSize[];
  readonly up: readonly UnetBlockSize[];
}

interface UnetBlockSize {
  readonly resnets: number;
  readonly attention: unknown;
}

/** What the names depend on: `AutoencoderConfig` has it. */
export interface AutoencoderBlocks {
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
}

type Inner = readonly (readonly [ours: string, original: string])[];

const UNET_ENDS: Inner = [
  ['time_embedding.linear_1', 'time_embed.0'],
  ['time_embedding.linear_2', 'time_embed.2'],
  ['add_embedding.linear_1', 'label_emb.0.0'],
  ['add_embedding.linear_2', 'label_emb.0.2'],
  ['conv_in', 'input_blocks.0.0'],
  ['conv_norm_out', 'out.0'],
  ['conv_out', 'out.2'],
];

const UNET_RESNET: Inner = [
  ['norm1', 'in_layers.0'],
  ['conv1', 'in_layers.2'],
  ['time_emb_proj', 'emb_layers.1'],
  ['norm2', 'out_layers.0'],
  ['conv2', 'out_layers.3'],
  ['conv_shortcut', 'skip_connection'],
];

const VAE_RESNET: Inner = [
  ...['norm1', 'conv1', 'norm2', 'conv2'].map((name) => [name, name] as const),
  ['conv_shortcut', 'nin_shortcut'],
];

const VAE_ATTENTION: Inner = [
  ['group_norm', 'norm'],
  ['to_q', 'q'],
  ['to_k', 'k'],
  ['to_v', 'v'],
  ['to_out.0', 'proj_out'],
];

function addInner(names: Map<string, string>, inner: Inner, ours: string, original: string): void {
  for (const [name, theirs] of inner) names.set(`${ours}.${name}`, `${original}.${theirs}`);
}

/**
 * The modules of a UNet. The original counts all resnets of the way down together with the downsamplers as `input_blocks`, from the 1
 * after the first convolution, and all resnets of the way up as `output_blocks`; in each, 0 is the resnet, 1 the transformer, and what
 * comes next the upsampler.
 */
export function unetModules({ down, up }: UnetBlocks): ModuleNames {
  const names = new Map(UNET_ENDS);
  const resnet = (ours: string, original: string): void => addInner(names, UNET_RESNET, ours, original);
  let input = 1;
  for (const [i, { resnets, attention }] of down.entries()) {
    for (let j = 0; j < resnets; j++, input++) {
      resnet(`down_blocks.${i}.resnets.${j}`, `input_blocks.${input}.0`);
      if (attention !== null) names.set(`down_blocks.${i}.attentions.${j}`, `input_blocks.${input}.1`);
    }
    if (i < down.length - 1) names.set(`down_blocks.${i}.downsamplers.0.conv`, `input_blocks.${input++}.0.op`);
  }
  resnet('mid_block.resnets.0', 'middle_block.0');
  names.set('mid_block.attentions.0', 'middle_block.1');
  resnet('mid_block.resnets.1', 'middle_block.2');
  let output = 0;
  for (const [i, { resnets, attention }] of up.entries()) {
    for (let j = 0; j < resnets; j++, output++) {
      resnet(`up_blocks.${i}.resnets.${j}`, `output_blocks.${output}.0`);
      if (attention !== null) names.set(`up_blocks.${i}.attentions.${j}`, `output_blocks.${output}.1`);
    }
    const upsampler = `output_blocks.${output - 1}.${attention === null ? 1 : 2}.conv`;
    if (i < up.length - 1) names.set(`up_blocks.${i}.upsamplers.0.conv`, upsampler);
  }
  return names;
}

/** The modules of an autoencoder. The original counts the decoder's blocks from the picture's side, `up.0` being the last to run. */
export function autoencoderModules({ blockOutChannels, layersPerBlock }: AutoencoderBlocks): ModuleNames {
  const names = new Map(['quant_conv', 'post_quant_conv'].map((name) => [name, name]));
  const last = blockOutChannels.length - 1;
  const resnets = (count: number, ours: string, original: string): void => {
    for (let j = 0; j < count; j++) addInner(names, VAE_RESNET, `${ours}.resnets.${j}`, `${original}.block.${j}`);
  };
  for (const half of ['encoder', 'decoder']) {
    for (const name of ['conv_in', 'conv_out']) names.set(`${half}.${name}`, `${half}.${name}`);
    names.set(`${half}.conv_norm_out`, `${half}.norm_out`);
    addInner(names, VAE_RESNET, `${half}.mid_block.resnets.0`, `${half}.mid.block_1`);
    addInner(names, VAE_ATTENTION, `${half}.mid_block.attentions.0`, `${half}.mid.attn_1`);
    addInner(names, VAE_RESNET, `${half}.mid_block.resnets.1`, `${half}.mid.block_2`);
  }
  for (let i = 0; i <= last; i++) {
    const [down, up] = [`encoder.down_blocks.${i}`, `decoder.up_blocks.${i}`];
    const theirUp = `decoder.up.${last - i}`;
    resnets(layersPerBlock, down, `encoder.down.${i}`);
    resnets(layersPerBlock + 1, up, theirUp);
    if (i === last) continue;
    names.set(`${down}.downsamplers.0.conv`, `encoder.down.${i}.downsample.conv`);
    names.set(`${up}.upsamplers.0.conv`, `${theirUp}.upsample.conv`);
  }
  return names;
}

/** The same the other way round: original module paths, each with diffusers'. */
export function reversed(names: ModuleNames): ModuleNames {
  return new Map([...names].map(([ours, original]) => [original, ours]));
}

/** A path, of a module or a tensor, whose beginning is a module of `names`, with that module renamed; undefined: it begins with none. */
export function renameModule(names: ModuleNames, path: string): string | undefined {
  for (let end = path.length; end > 0; end = path.lastIndexOf('.', end - 1)) {
    const name = names.get(path.slice(0, end));
    if (name !== undefined) return name + path.slice(end);
  }
  return undefined;
}
