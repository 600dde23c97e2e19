// diffusers models/unets/unet_2d_blocks.py
import type { Value } from '../graph/graph.js';
import { concat } from '../ops/concat.js';
import type { ParamNode } from '../params/paramTree.js';
import { downsample2D } from './downsampling.js';
import { inside, module } from './layers.js';
import { resnetBlock2D } from './resnet.js';
import { transformer2D } from './transformer2d.js';
import type { UnetBlock, UnetConfig } from './unetConfig.js';
import { upsample2D } from './upsampling.js';

/** What all blocks of one pass share. */
export interface UnetPass {
  readonly config: UnetConfig;
  /** silu of the time embedding [n, e]. */
  readonly siluEmb: Value;
  /** Text states [n, s, e]. */
  readonly context: Value;
}

function resnet(p: ParamNode, x: Value, i: number, block: UnetBlock, pass: UnetPass): Value {
  const { normGroups: groups, normEps: eps } = pass.config;
  return resnetBlock2D(p.child('resnets').child(i), x, pass.siluEmb, { out: block.channels, groups, eps });
}

function transformer(p: ParamNode, x: Value, i: number, block: UnetBlock, { config, context }: UnetPass): Value {
  if (!block.attention) return x;
  const { heads, transformerLayers } = block.attention;
  const options = { heads, transformerLayers, groups: config.normGroups };
  return transformer2D(p.child('attentions').child(i), x, context, options);
}

/** DownBlock2D and CrossAttnDownBlock2D. Appends what the way up needs to `skips`. */
export function downBlock(
  p: ParamNode,
  x: Value,
  block: UnetBlock,
  pass: UnetPass,
  skips: Value[],
  isLast: boolean,
): Value {
  let h = x;
  for (let i = 0; i < block.resnets; i++) {
    h = transformer(p, resnet(p, h, i, block, pass), i, block, pass);
    skips.push(h);
  }
  if (isLast) return h;
  h = downsample2D(p.child('downsamplers').child(0), h, pass.config.downsamplePadding);
  skips.push(h);
  return h;
}

/** UNetMidBlock2DCrossAttn: resnet, transformer, resnet. */
export function midBlock(p: ParamNode, x: Value, block: UnetBlock, pass: UnetPass): Value {
  return module(p, () => {
    const h = transformer(p, resnet(p, x, 0, block, pass), 0, block, pass);
    return resnet(p, h, 1, block, pass);
  });
}

/** UpBlock2D and CrossAttnUpBlock2D. Takes its skips from the end of `skips`, and upsamples to the size of the next one. */
export function upBlock(
  p: ParamNode,
  x: Value,
  block: UnetBlock,
  pass: UnetPass,
  skips: Value[],
  isLast: boolean,
): Value {
  let h = x;
  for (let i = 0; i < block.resnets; i++) {
    const skip = skips.pop()!;
    const joined = inside(p.child('resnets').child(i), () => concat(h, skip));
    h = transformer(p, resnet(p, joined, i, block, pass), i, block, pass);
  }
  if (isLast) return h;
  const [, height, width] = skips.at(-1)!.shape as [number, number, number, number];
  return upsample2D(p.child('upsamplers').child(0), h, { height, width });
}
