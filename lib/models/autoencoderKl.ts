// diffusers models/autoencoders/autoencoder_kl.py and vae.py
import type { Value } from '../graph/graph.js';
import { expectRank, expectSize } from '../graph/shapes.js';
import { reshape } from '../ops/reshape.js';
import type { ParamNode } from '../params/paramTree.js';
import { attentionBlock } from './attention.js';
import type { AutoencoderConfig } from './autoencoderConfig.js';
import { downsample2D } from './downsampling.js';
import { addedTo, convLayer, groupNormLayer, groupNormSilu, inside, module } from './layers.js';
import { resnetBlock2D } from './resnet.js';
import { upsample2D } from './upsampling.js';

const EPS = 1e-6;

function resnets(p: ParamNode, x: Value, count: number, out: number, groups: number): Value {
  let h = x;
  for (let i = 0; i < count; i++) h = resnetBlock2D(p.child('resnets').child(i), h, null, { out, groups, eps: EPS });
  return h;
}

/** Self-attention over positions with one head, on the group-normalized picture, plus the picture. */
function pictureAttention(p: ParamNode, x: Value, groups: number): Value {
  const [n, h, w, c] = x.shape as [number, number, number, number];
  const normed = groupNormLayer(p.child('group_norm'), x, { groups, eps: EPS });
  const toRows = (y: Value): Value => inside(p, () => reshape(y, [n, h * w, c]));
  const rows = toRows(normed);
  return addedTo(p, x, (skip) => {
    const y = attentionBlock(p, rows, rows, { heads: 1, bias: true, residual: skip && toRows(skip) });
    return inside(p, () => reshape(y, x.shape));
  });
}

/** UNetMidBlock2D. */
function midBlock(p: ParamNode, x: Value, config: AutoencoderConfig): Value {
  const options = { out: x.shape.at(-1)!, groups: config.normGroups, eps: EPS };
  return module(p, () => {
    let h = resnetBlock2D(p.child('resnets').child(0), x, null, options);
    if (config.midBlockAddAttention) h = pictureAttention(p.child('attentions').child(0), h, config.normGroups);
    return resnetBlock2D(p.child('resnets').child(1), h, null, options);
  });
}

/**
 * AutoencoderKL.encode, up to the moments of the latent distribution; `latentDistribution` reads them.
 * @param image [n, h, w, 3] in −1…1; sides are multiples of `config.downscale`, or lose the rest
 * @returns moments [n, h/d, w/d, 2·latentChannels]: mean, then log variance, not yet clamped
 */
export function autoencoderKlEncode(p: ParamNode, config: AutoencoderConfig, image: Value): Value {
  expectRank('autoencoderKl', 'image', image, 4);
  expectSize('autoencoderKl', 'channels of image', image, image.shape[3], config.inChannels);
  const encoder = p.child('encoder');
  const { blockOutChannels: channels, layersPerBlock, normGroups, latentChannels } = config;
  let h = convLayer(encoder.child('conv_in'), image, { out: channels[0]! });
  channels.forEach((out, i) => {
    const block = encoder.child('down_blocks').child(i);
    h = resnets(block, h, layersPerBlock, out, normGroups);
    if (i < channels.length - 1) h = downsample2D(block.child('downsamplers').child(0), h, 0);
  });
  h = midBlock(encoder.child('mid_block'), h, config);
  h = groupNormSilu(encoder.child('conv_norm_out'), h, { groups: normGroups, eps: EPS });
  h = convLayer(encoder.child('conv_out'), h, { out: 2 * latentChannels });
  return config.useQuantConv ? convLayer(p.child('quant_conv'), h, { out: 2 * latentChannels, kernel: 1 }) : h;
}

/**
 * AutoencoderKL.decode.
 * @param latents [n, h, w, latentChannels], already divided by the scaling factor
 * @returns picture [n, h·d, w·d, 3], about −1…1
 */
export function autoencoderKlDecode(p: ParamNode, config: AutoencoderConfig, latents: Value): Value {
  expectRank('autoencoderKl', 'latents', latents, 4);
  expectSize('autoencoderKl', 'channels of latents', latents, latents.shape[3], config.latentChannels);
  const decoder = p.child('decoder');
  const { latentChannels, layersPerBlock, normGroups } = config;
  const channels = [...config.blockOutChannels].reverse();
  let h = config.usePostQuantConv
    ? convLayer(p.child('post_quant_conv'), latents, { out: latentChannels, kernel: 1 })
    : latents;
  h = midBlock(decoder.child('mid_block'), convLayer(decoder.child('conv_in'), h, { out: channels[0]! }), config);
  channels.forEach((out, i) => {
    const block = decoder.child('up_blocks').child(i);
    h = resnets(block, h, layersPerBlock + 1, out, normGroups);
    if (i < channels.length - 1) h = upsample2D(block.child('upsamplers').child(0), h);
  });
  h = groupNormSilu(decoder.child('conv_norm_out'), h, { groups: normGroups, eps: EPS });
  return convLayer(decoder.child('conv_out'), h, { out: config.outChannels });
}

/** Mean and log variance of a diagonal normal distribution, each [n, h, w, c], channels last. */
export interface LatentDistribution {
  readonly mean: Float32Array;
  /** Clamped to −30…20. */
  readonly logvar: Float32Array;
}

/** Splits the encoder's moments [..., 2c] on the host (diffusers' DiagonalGaussianDistribution). */
export function latentDistribution(moments: Float32Array, latentChannels: number): LatentDistribution {
  const mean = new Float32Array(moments.length / 2);
  const logvar = new Float32Array(moments.length / 2);
  for (let i = 0; i < mean.length; i++) {
    const at = 2 * latentChannels * Math.floor(i / latentChannels) + (i % latentChannels);
    mean[i] = moments[at]!;
    logvar[i] = Math.min(20, Math.max(-30, moments[at + latentChannels]!));
  }
  return { mean, logvar };
}
