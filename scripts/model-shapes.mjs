// The tensors that a pipeline's configs stand for. A tensor is { key, shape, role }: role 'weight' | 'bias' | 'norm' |
// 'embedding'; a weight's first side is what it puts out, the others are its fan-in.
import { SHAPES } from './model-configs.mjs';

export { SHAPES } from './model-configs.mjs';

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
