import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { autoencoderKlDecode, autoencoderKlEncode } from '../models/autoencoderKl.js';
import { clipText } from '../models/clipText.js';
import { type ClipTextConfig, readClipTextConfig } from '../models/clipTextConfig.js';
import { unet2dCondition } from '../models/unet2dCondition.js';
import { readUnetConfig, type UnetConfig } from '../models/unetConfig.js';
import { concat } from '../ops/concat.js';
import { mixPerSample } from '../ops/mixPerSample.js';
import { mse } from '../ops/mse.js';
import { multiplyAdd } from '../ops/multiplyAdd.js';
import { randomNormal } from '../ops/randomNormal.js';
import { reshape } from '../ops/reshape.js';
import { scale } from '../ops/scale.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { paramTree } from '../params/paramTree.js';
import type { ModelConfigs } from './miniModel.js';
import { layoutOf, stateTrees, type Trees } from './trainedTree.js';
import { appendGradients, appendUpdate } from './updateGraph.js';
import { drawLatents } from './vaeGraphs.js';

interface Configs {
  readonly unet: UnetConfig;
  readonly text: ClipTextConfig;
}

function read(configs: ModelConfigs): Configs {
  return { unet: readUnetConfig(configs.unet), text: readClipTextConfig(configs.text_encoder, 'text_encoder') };
}

/** All tensors of the UNet and of the text encoder. */
export function unetLayout(configs: ModelConfigs): FlatLayout {
  const { unet, text } = read(configs);
  return layoutOf((graph, trees) => {
    const inputIds = input(graph, 'inputIds', [1, text.maxPositions], 'i32');
    const context = clipText(trees('text_encoder'), text, { inputIds }).lastHiddenState;
    const sample = input(graph, 'sample', [1, 1, 1, unet.inChannels]);
    unet2dCondition(trees('unet'), unet, {
      sample,
      timesteps: input(graph, 'timesteps', [1]),
      encoderHiddenStates: context,
    });
  });
}

export interface UnetStepSizes {
  /** Pictures of a step. */
  readonly pictures: number;
  /** Times, noises and captions that each picture is used with: a step has `pictures · draws` samples. */
  readonly draws: number;
  /** Of the pictures, pixels. */
  readonly side: number;
}

/** x [n, ...] with each sample `times` times in a row. */
export function repeated(x: Value, times: number): Value {
  const [n, ...each] = x.shape as [number, ...number[]];
  const flat = reshape(x, [n, each.reduce((a, b) => a * b)]);
  let row = flat;
  for (let i = 1; i < times; i++) row = concat(row, flat);
  return reshape(row, [n * times, ...each]);
}

/** Frozen weights are widened, so that every device multiplies float32 with float32. */
const FROZEN = { compute: 'f32' } as const;

/** Scaled latents of pictures, of the frozen autoencoder. Inputs `image` [n, side, side, 3], `latentKey` [n, 4]. */
export function frozenLatents(graph: Graph, vae: Component, { pictures, side }: UnetStepSizes): Value {
  const config = readAutoencoderConfig(vae.config);
  const tree = paramTree(graph, 'vae', vae.tensors, FROZEN);
  const moments = autoencoderKlEncode(tree, config, input(graph, 'image', [pictures, side, side, config.inChannels]));
  return scale(drawLatents(moments, config.latentChannels).latents, config.scalingFactor);
}

/**
 * The loss of text encoder and UNet together on given latents [n, h, w, c]: mean (prediction − target)², both times
 * 1 + `emphasis` where that is given. Inputs `inputIds` [n, t],
 * `noiseKey` [n, 4], and `timesteps`, `signal`, `noiseWeight`, `targetSignal`, `targetNoise` [n]. Results `loss` [1], `perSample` [n].
 */
export function appendUnetLoss(trees: Trees, configs: ModelConfigs, latents: Value, emphasis?: Value): Value {
  const { unet, text } = read(configs);
  const { graph } = latents;
  const n = latents.shape[0]!;
  const perSample = (name: string): Value => input(graph, name, [n]);
  const noise = randomNormal(input(graph, 'noiseKey', [n, 4], 'i32'), latents.shape);
  const sample = mixPerSample(latents, noise, perSample('signal'), perSample('noiseWeight'));
  const target = mixPerSample(latents, noise, perSample('targetSignal'), perSample('targetNoise'));
  const inputIds = input(graph, 'inputIds', [n, text.maxPositions], 'i32');
  const encoderHiddenStates = clipText(trees('text_encoder'), text, { inputIds }).lastHiddenState;
  const inputs = { sample, timesteps: perSample('timesteps'), encoderHiddenStates };
  const raised = (values: Value): Value => (emphasis ? multiplyAdd(values, values, emphasis) : values);
  const losses = mse(raised(unet2dCondition(trees('unet'), unet, inputs)), raised(target));
  result(graph, 'loss', losses.loss);
  result(graph, 'perSample', losses.perSample);
  return losses.loss;
}

/**
 * One training step of all weights of text encoder and UNet: the inputs of its parts, `emphasis` [pictures, h, w, c], `textHyper` and
 * `hyper` for the two.
 */
export function unetStepGraph(configs: ModelConfigs, layout: FlatLayout, vae: Component, sizes: UnetStepSizes): Graph {
  const graph = createGraph();
  const latents = repeated(frozenLatents(graph, vae, sizes), sizes.draws);
  const [, ...each] = latents.shape;
  const emphasis = repeated(input(graph, 'emphasis', [sizes.pictures, ...each]), sizes.draws);
  const loss = appendUnetLoss(stateTrees(graph, layout, 'params'), configs, latents, emphasis);
  appendGradients(graph, loss);
  appendUpdate(graph, loss, layout, (component) => (component === 'text_encoder' ? 'textHyper' : 'hyper'));
  return graph;
}

/** The averaged text encoder: input `inputIds` [n, t]; result `states` [n, t, e]. */
export function statesGraph(configs: ModelConfigs, layout: FlatLayout, n: number): Graph {
  const graph = createGraph();
  const { text } = read(configs);
  const inputIds = input(graph, 'inputIds', [n, text.maxPositions], 'i32');
  result(
    graph,
    'states',
    clipText(stateTrees(graph, layout, 'ema')('text_encoder'), text, { inputIds }).lastHiddenState,
  );
  return graph;
}

/** The averaged UNet: inputs `sample` [n, side, side, c], `timesteps` [n], `encoderHiddenStates` [n, t, e]; result `prediction`. */
export function averagedUnetGraph(configs: ModelConfigs, layout: FlatLayout, n: number, side: number): Graph {
  const graph = createGraph();
  const { unet, text } = read(configs);
  const prediction = unet2dCondition(stateTrees(graph, layout, 'ema')('unet'), unet, {
    sample: input(graph, 'sample', [n, side, side, unet.inChannels]),
    timesteps: input(graph, 'timesteps', [n]),
    encoderHiddenStates: input(graph, 'encoderHiddenStates', [n, text.maxPositions, unet.crossAttentionDim]),
  });
  result(graph, 'prediction', prediction);
  return graph;
}

/** The frozen decoder: input `latents` [n, side, side, c], unscaled; result `image`. */
export function decoderGraph(vae: Component, n: number, side: number): Graph {
  const graph = createGraph();
  const config = readAutoencoderConfig(vae.config);
  const latents = input(graph, 'latents', [n, side, side, config.latentChannels]);
  result(graph, 'image', autoencoderKlDecode(paramTree(graph, 'vae', vae.tensors, FROZEN), config, latents));
  return graph;
}
