// Traces of whole models at the smallest size, for what a checkpoint's keys and shapes tell before any weight is read.
import { createGraph, input } from '../graph/graph.js';
import { type ParamHooks, type ParamTree, paramTree, type TensorInfo } from '../params/paramTree.js';
import type { AutoencoderConfig } from './autoencoderConfig.js';
import { autoencoderKlDecode, autoencoderKlEncode } from './autoencoderKl.js';
import { clipText } from './clipText.js';
import type { ClipTextConfig } from './clipTextConfig.js';
import { unet2dCondition } from './unet2dCondition.js';
import type { UnetConfig } from './unetConfig.js';

export type Tensors = ReadonlyMap<string, TensorInfo>;

/** The linear layers that T-LoRA adapts: queries, keys, values and output of self- and cross-attention. */
const ADAPTED = /\.attn[12]\.(to_q|to_k|to_v|to_out\.0)$/;

/**
 * Checks every key and shape of a UNet's checkpoint.
 * @returns its number of parameters
 * @throws FileFormatError for a tensor that is missing, extra or of another shape
 */
export function checkUnet(tensors: Tensors, config: UnetConfig): number {
  return parametersOf(traceUnet(tensors, config, {}));
}

/** Module paths of the linear layers that T-LoRA adapts, in network order. */
export function unetAdaptedLinears(tensors: Tensors, config: UnetConfig): string[] {
  const paths: string[] = [];
  traceUnet(tensors, config, {
    adapter: (path, _x, base) => {
      if (ADAPTED.test(path)) paths.push(path);
      return base;
    },
  });
  return paths;
}

function traceUnet(tensors: Tensors, config: UnetConfig, hooks: ParamHooks): ParamTree {
  const graph = createGraph();
  const tree = paramTree(graph, 'unet', tensors, hooks);
  const { textTime } = config;
  const side = 2 ** (config.down.length - 1); // without padding, a side of 1 could not be halved
  unet2dCondition(tree, config, {
    sample: input(graph, 'sample', [1, side, side, config.inChannels]),
    timesteps: input(graph, 'timesteps', [1]),
    encoderHiddenStates: input(graph, 'encoderHiddenStates', [1, 1, config.crossAttentionDim]),
    ...(textTime && {
      textEmbeds: input(graph, 'textEmbeds', [1, textTime.inputDim - 6 * textTime.timeDim]),
      timeIds: input(graph, 'timeIds', [1, 6]),
    }),
  });
  return tree;
}

/** As `checkUnet`, for encoder and decoder of a VAE together. */
export function checkAutoencoder(tensors: Tensors, config: AutoencoderConfig): number {
  const graph = createGraph();
  const tree = paramTree(graph, 'vae', tensors);
  const { downscale, inChannels, latentChannels } = config;
  autoencoderKlEncode(tree, config, input(graph, 'image', [1, downscale, downscale, inChannels]));
  autoencoderKlDecode(tree, config, input(graph, 'latents', [1, 1, 1, latentChannels]));
  return parametersOf(tree);
}

/** As `checkUnet`, for a text encoder. */
export function checkClipText(
  component: 'text_encoder' | 'text_encoder_2',
  tensors: Tensors,
  config: ClipTextConfig,
): number {
  const graph = createGraph();
  const tree = paramTree(graph, component, tensors);
  const inputIds = input(graph, 'inputIds', [1, config.maxPositions], 'i32');
  clipText(tree, config, { inputIds, endTokens: input(graph, 'endTokens', [1], 'i32') });
  return parametersOf(tree);
}

function parametersOf(tree: ParamTree): number {
  tree.expectAllUsed();
  return tree.usedElements();
}
