import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import { type AutoencoderConfig, readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { autoencoderKlDecode, autoencoderKlEncode } from '../models/autoencoderKl.js';
import { add } from '../ops/add.js';
import { conv2d } from '../ops/conv2d.js';
import { exp } from '../ops/exp.js';
import { klDivergence } from '../ops/klDivergence.js';
import { mae } from '../ops/mae.js';
import { mse } from '../ops/mse.js';
import { multiplyAdd } from '../ops/multiplyAdd.js';
import { randomNormal } from '../ops/randomNormal.js';
import { scale } from '../ops/scale.js';
import { slice } from '../ops/slice.js';
import type { FlatLayout } from '../params/flatLayout.js';
import type { ParamNode } from '../params/paramTree.js';
import type { Config } from './miniModel.js';
import { layoutOf, stateTrees } from './trainedTree.js';
import { appendGradients, appendUpdate } from './updateGraph.js';

/** Weights of the parts of the autoencoder's loss; each part is a mean over all its elements. */
export interface VaeLoss {
  /** |picture − reconstruction| */
  readonly absolute: number;
  /** its square */
  readonly squared: number;
  /** |difference of their steps from pixel to pixel, right and down| */
  readonly edges: number;
  /** divergence of the latents' distribution from the unit normal */
  readonly divergence: number;
}

/** All tensors of an AutoencoderKL. */
export function vaeLayout(json: Config): FlatLayout {
  const config = readAutoencoderConfig(json);
  const { downscale, inChannels, latentChannels } = config;
  return layoutOf((graph, trees) => {
    const p = trees('vae');
    autoencoderKlEncode(p, config, input(graph, 'image', [1, downscale, downscale, inChannels]));
    autoencoderKlDecode(p, config, input(graph, 'latents', [1, 1, 1, latentChannels]));
  });
}

/** mean + e^(logvar/2) · normals, from moments [n, h, w, 2c]. Input `latentKey` [n, 4]. */
export function drawLatents(moments: Value, channels: number): { latents: Value; mean: Value; logvar: Value } {
  const { graph } = moments;
  const mean = slice(moments, { start: 0, end: channels });
  const logvar = slice(moments, { start: channels, end: 2 * channels });
  const normals = randomNormal(input(graph, 'latentKey', [mean.shape[0]!, 4], 'i32'), mean.shape);
  return { latents: multiplyAdd(mean, exp(scale(logvar, 0.5)), normals), mean, logvar };
}

/** Steps to the right and down of each channel, [6, 2, 2, 3]: what the input `edgeKernel` must hold. */
export function edgeKernel(channels = 3): Float32Array {
  const kernel = new Float32Array(2 * channels * 4 * channels);
  for (let c = 0; c < channels; c++) {
    for (const [o, tap] of [
      [c, 1],
      [channels + c, 2],
    ] as const) {
      kernel[(o * 4 + 0) * channels + c] = -1;
      kernel[(o * 4 + tap) * channels + c] = 1;
    }
  }
  return kernel;
}

/**
 * The loss of an autoencoder. Inputs `image` [n, side, side, 3] in −1…1, `extraWeight` of its shape, `latentKey` [n, 4], `edgeKernel`.
 * Picture and reconstruction are multiplied by 1 + extraWeight before they are compared. Results `loss`, `absolute`, `divergence` [1].
 */
export function appendVaeLoss(p: ParamNode, config: AutoencoderConfig, image: Value, weights: VaeLoss): Value {
  const { graph } = p;
  const { latents, mean, logvar } = drawLatents(autoencoderKlEncode(p, config, image), config.latentChannels);
  const extraWeight = input(graph, 'extraWeight', image.shape);
  const weighted = (values: Value): Value => multiplyAdd(values, values, extraWeight);
  const [picture, wanted] = [weighted(autoencoderKlDecode(p, config, latents)), weighted(image)];
  const c = config.inChannels;
  const kernel = input(graph, 'edgeKernel', [2 * c, 2, 2, c]);
  const absolute = mae(picture, wanted);
  const divergence = klDivergence(mean, logvar);
  const parts = [
    scale(absolute, weights.absolute),
    scale(mse(picture, wanted).loss, weights.squared),
    scale(mae(conv2d(picture, kernel, null), conv2d(wanted, kernel, null)), weights.edges),
    scale(divergence, weights.divergence),
  ];
  const loss = parts.reduce((sum, part) => add(sum, part));
  for (const [name, value] of Object.entries({ loss, absolute, divergence })) result(graph, name, value);
  return loss;
}

export interface VaeSizes {
  readonly batch: number;
  /** Of the pictures. */
  readonly side: number;
}

/** One training step of all weights of an autoencoder: the inputs of `appendVaeLoss`, `appendGradients` and `appendUpdate`. */
export function vaeStepGraph(json: Config, layout: FlatLayout, { batch, side }: VaeSizes, weights: VaeLoss): Graph {
  const graph = createGraph();
  const config = readAutoencoderConfig(json);
  const image = input(graph, 'image', [batch, side, side, config.inChannels]);
  const loss = appendVaeLoss(stateTrees(graph, layout, 'params')('vae'), config, image, weights);
  appendGradients(graph, loss);
  appendUpdate(graph, loss, layout);
  return graph;
}

/** The averaged autoencoder on pictures: input `image`; results `moments`, and `reconstruction` from the means of the latents. */
export function vaePreviewGraph(json: Config, layout: FlatLayout, { batch, side }: VaeSizes): Graph {
  const graph = createGraph();
  const config = readAutoencoderConfig(json);
  const p = stateTrees(graph, layout, 'ema')('vae');
  const moments = autoencoderKlEncode(p, config, input(graph, 'image', [batch, side, side, config.inChannels]));
  result(graph, 'moments', moments);
  const mean = slice(moments, { start: 0, end: config.latentChannels });
  result(graph, 'reconstruction', autoencoderKlDecode(p, config, mean));
  return graph;
}
