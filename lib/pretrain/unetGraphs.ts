import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { autoencoderKlDecode, autoencoderKlEncode } from '../models/autoencoderKl.js';
import { clipText } from '../models/clipText.js';
import { type ClipTextConfig, readClipTextConfig } from '../models/clipTextConfig.js';
import { convLayer } from '../models/layers.js';
import { predictionOf, unet2dCondition, unet2dFeatures } from '../models/unet2dCondition.js';
import { readUnetConfig, type UnetConfig } from '../models/unetConfig.js';
import { add } from '../ops/add.js';
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

/** Pixels of a latent cell. */
function cellPixels(configs: ModelConfigs): number {
  return readAutoencoderConfig(configs.vae).downscale ** 2;
}

/** How much of each pixel of the clean picture is the subject, [n, h, w, pixels of a cell], from the UNet's features: only training asks for it. */
function silhouetteHead(trees: Trees, configs: ModelConfigs, features: Value): Value {
  return convLayer(trees('silhouette').child('conv'), features, { out: cellPixels(configs) });
}

/** All tensors of text encoder and UNet, and those of the head that tells the silhouette. */
export function unetLayout(configs: ModelConfigs): FlatLayout {
  const { unet, text } = read(configs);
  return layoutOf((graph, trees) => {
    const inputIds = input(graph, 'inputIds', [1, text.maxPositions], 'i32');
    const context = clipText(trees('text_encoder'), text, { inputIds }).lastHiddenState;
    const sample = input(graph, 'sample', [1, 1, 1, unet.inChannels]);
    const inputs = { sample, timesteps: input(graph, 'timesteps', [1]), encoderHiddenStates: context };
    const features = unet2dFeatures(trees('unet'), unet, inputs);
    predictionOf(trees('unet'), unet, features);
    silhouetteHead(trees, configs, features);
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
const FROZEN = { compute: 'f32', anyDevice: true } as const;

/** Scaled latents of pictures, of the frozen autoencoder. Inputs `image` [n, side, side, 3], `latentKey` [n, 4]. */
export function frozenLatents(graph: Graph, vae: Component, { pictures, side }: UnetStepSizes): Value {
  const config = readAutoencoderConfig(vae.config);
  const tree = paramTree(graph, 'vae', vae.tensors, FROZEN);
  const moments = autoencoderKlEncode(tree, config, input(graph, 'image', [pictures, side, side, config.inChannels]));
  return scale(drawLatents(moments, config.latentChannels).latents, config.scalingFactor);
}

/** What a training step compares beside what the model predicts; [n, ...] like the latents. */
export interface SubjectTargets {
  /** Errors count (1 + emphasis)² times, [n, h, w, c]. */
  readonly emphasis: Value;
  /** How much of each pixel is the subject, 0…1, [n, h, w, pixels of a cell]. */
  readonly silhouette: Value;
}

/**
 * The loss of text encoder and UNet together on given latents [n, h, w, c]: mean (prediction − target)²; with `subject`, its emphasis, and
 * silhouetteShare² · mean (silhouette told − silhouette)² added. Inputs `inputIds` [n, t], `noiseKey` [n, 4], and `timesteps`, `signal`,
 * `noiseWeight`, `targetSignal`, `targetNoise` [n], with `subject` `silhouetteShare` and `silhouetteRest` = 1 − silhouetteShare [n]. Results
 * `loss` [1], `perSample` [n] of the prediction alone, with `subject` `silhouette` [1].
 */
export function appendUnetLoss(trees: Trees, configs: ModelConfigs, latents: Value, subject?: SubjectTargets): Value {
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
  const features = unet2dFeatures(trees('unet'), unet, inputs);
  const raised = (values: Value): Value => (subject ? multiplyAdd(values, values, subject.emphasis) : values);
  const losses = mse(raised(predictionOf(trees('unet'), unet, features)), raised(target));
  result(graph, 'perSample', losses.perSample);
  const loss = subject
    ? add(losses.loss, silhouetteLoss(silhouetteHead(trees, configs, features), subject.silhouette))
    : losses.loss;
  result(graph, 'loss', loss);
  return loss;
}

/** share² · mean (told − target)², as the error of share · told + (1 − share) · target. */
function silhouetteLoss(told: Value, target: Value): Value {
  const { graph } = told;
  const n = told.shape[0]!;
  const [share, rest] = [input(graph, 'silhouetteShare', [n]), input(graph, 'silhouetteRest', [n])];
  const { loss } = mse(mixPerSample(told, target, share, rest), target);
  result(graph, 'silhouette', loss);
  return loss;
}

/**
 * One training step of all weights of text encoder, UNet and head: the inputs of its parts, `emphasis` [pictures, h, w, c], `silhouette`
 * [pictures, h, w, pixels of a cell], `textHyper` for the text encoder and `hyper` for the others.
 */
export function unetStepGraph(configs: ModelConfigs, layout: FlatLayout, vae: Component, sizes: UnetStepSizes): Graph {
  const graph = createGraph();
  const latents = repeated(frozenLatents(graph, vae, sizes), sizes.draws);
  const [, ...each] = latents.shape as [number, number, number, number];
  const ofPictures = (name: string, shape: readonly number[]): Value =>
    repeated(input(graph, name, [sizes.pictures, ...shape]), sizes.draws);
  const loss = appendUnetLoss(stateTrees(graph, layout, 'params'), configs, latents, {
    emphasis: ofPictures('emphasis', each),
    silhouette: ofPictures('silhouette', [each[0], each[1], cellPixels(configs)]),
  });
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
