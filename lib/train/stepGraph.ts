import { at, createGraph, type Graph, input, result, state, type Value } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { accumulate } from '../ops/accumulate.js';
import { adamw } from '../ops/adamw.js';
import { gradNorm } from '../ops/gradNorm.js';
import { mixPerSample } from '../ops/mixPerSample.js';
import { mse } from '../ops/mse.js';
import { multiplyAdd } from '../ops/multiplyAdd.js';
import { randomNormal } from '../ops/randomNormal.js';
import { scale } from '../ops/scale.js';
import type { ParamHooks } from '../params/paramTree.js';
import { traceUnet, type UnetSizes } from '../pipeline/unetGraph.js';
import { grad } from '../transform/grad.js';

/** What the step needs to know of the adapters. */
export interface TrainedAdapters {
  /** Given to every linear layer of the model. */
  readonly hook: NonNullable<ParamHooks['adapter']>;
  /** The trained values that the graph has met, as slices of the state buffer `params`. */
  readonly leaves: () => readonly Value[];
  /** Elements of the flat buffers `params`, `grads`, `m` and `v`. */
  readonly total: number;
  /** Work after each optimizer step (orthogonal: 'retract'). */
  readonly afterUpdate?: (graph: Graph) => void;
}

export interface StepGraphOptions {
  readonly unet: Component;
  readonly sizes: UnetSizes;
  readonly adapters: (graph: Graph) => TrainedAdapters;
  /** drawn: latents and noise come from keys; given: they are inputs. */
  readonly draws: 'drawn' | 'given';
  /**
   * step: forward, backward and optimizer; gradients: forward and backward only, results in `grads`; accumulate: also adds these to
   * `gradSum`; loss: forward only.
   */
  readonly until: 'step' | 'gradients' | 'accumulate' | 'loss';
}

/**
 * One training step: x_t = signal·latents + noiseWeight·noise, prediction = UNet(x_t, t), loss = mean (prediction − target)²
 * with target = targetSignal·latents + targetNoise·noise, gradients of all adapters, AdamW.
 *
 * Inputs: `timesteps`, `signal`, `noiseWeight`, `targetSignal`, `targetNoise` [n], `activeRank` [n] i32, the conditions of
 * `traceUnet`, `lossSeed` [1] (1), `hyper` [8] (ADAMW_HYPER); drawn: `latentMean`, `latentStd` [n, h, w, c] and `latentKey`,
 * `noiseKey` [n, 4]; given: `latents`, `noise`. Results: `loss` [1], `perSample` [n], `norm` [1].
 */
export function stepGraph(options: StepGraphOptions): Graph {
  const graph = createGraph();
  const adapters = options.adapters(graph);
  const loss = appendLoss(graph, options, adapters);
  if (options.until === 'loss') return graph;
  const leaves = adapters.leaves();
  const gradients = grad(loss, input(graph, 'lossSeed', [1]), leaves);
  at(graph, '', 'update', () => {
    gradients.forEach((gradient, i) => {
      if (gradient !== null) settle(gradient, leaves[i]!);
    });
    if (options.until === 'accumulate') appendAccumulation(graph, adapters.total);
    if (options.until === 'step') appendUpdate(graph, 'grads', adapters, loss);
  });
  return graph;
}

/**
 * The optimizer step over accumulated gradients: inputs `hyper` [8], `loss` [1]; result `norm` [1].
 */
export function updateGraph(adaptersOf: (graph: Graph) => TrainedAdapters): Graph {
  const graph = createGraph();
  at(graph, '', 'update', () => appendUpdate(graph, 'gradSum', adaptersOf(graph), input(graph, 'loss', [1])));
  return graph;
}

function appendLoss(graph: Graph, options: StepGraphOptions, adapters: TrainedAdapters): Value {
  const { unet, sizes } = options;
  const { batch: n, height, width } = sizes;
  const perSample = (name: string): Value => input(graph, name, [n]);
  const { latents, noise } = clean(graph, options, [n, height, width, latentChannels(unet)]);
  const noisy = mixPerSample(latents, noise, perSample('signal'), perSample('noiseWeight'));
  const target = mixPerSample(latents, noise, perSample('targetSignal'), perSample('targetNoise'));
  const { prediction } = traceUnet(graph, unet, sizes, noisy, { cached: true, adapter: adapters.hook });
  const losses = mse(prediction, target);
  result(graph, 'loss', losses.loss);
  result(graph, 'perSample', losses.perSample);
  return losses.loss;
}

function latentChannels(unet: Component): number {
  return unet.tensors.get('conv_out.weight')?.shape[0] ?? 4;
}

/** Latents drawn from the picture's distribution, and unit noise. */
function clean(graph: Graph, { draws, sizes }: StepGraphOptions, shape: number[]): { latents: Value; noise: Value } {
  if (draws === 'given') {
    const dtype = sizes.dtype ?? 'f32';
    return { latents: input(graph, 'latents', shape, dtype), noise: input(graph, 'noise', shape, dtype) };
  }
  const normals = (key: string): Value => randomNormal(input(graph, key, [shape[0]!, 4], 'i32'), shape);
  const mean = input(graph, 'latentMean', shape);
  const std = input(graph, 'latentStd', shape);
  return { latents: multiplyAdd(mean, std, normals('latentKey')), noise: normals('noiseKey') };
}

/** Lets a gradient be written where its leaf's gradient belongs in the flat buffer. */
function settle(gradient: Value, leaf: Value): void {
  if (leaf.leaf?.kind !== 'state') return;
  const value = gradient.home || gradient.leaf ? scale(gradient, 1) : gradient;
  value.home = { buffer: 'grads', offset: leaf.leaf.offset };
}

function appendAccumulation(graph: Graph, total: number): void {
  const sum = state(graph, 'gradSum', 0, [total], 'sum of all gradients');
  const grads = state(graph, 'grads', 0, [total], 'all gradients');
  accumulate(sum, grads, input(graph, 'accumulate', [2]));
}

function appendUpdate(graph: Graph, gradBuffer: string, adapters: TrainedAdapters, loss: Value): void {
  const whole = (buffer: string): Value => state(graph, buffer, 0, [adapters.total], `all of ${buffer}`);
  const grads = whole(gradBuffer);
  const norm = gradNorm(grads);
  result(graph, 'norm', norm);
  const hyper = input(graph, 'hyper', [8]);
  adamw({ params: whole('params'), grads, m: whole('m'), v: whole('v'), hyper, loss, norm });
  adapters.afterUpdate?.(graph);
}
