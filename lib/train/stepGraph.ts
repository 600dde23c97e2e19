import type { BranchForm } from '../adapters/attachAdapters.js';
import { at, createGraph, type Graph, input, result, state, type Value } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { accumulate } from '../ops/accumulate.js';
import { adamw } from '../ops/adamw.js';
import { add } from '../ops/add.js';
import { cast } from '../ops/cast.js';
import { concat } from '../ops/concat.js';
import { gradNorm } from '../ops/gradNorm.js';
import { mixPerSample } from '../ops/mixPerSample.js';
import { mse } from '../ops/mse.js';
import { multiplyAdd } from '../ops/multiplyAdd.js';
import { randomNormal } from '../ops/randomNormal.js';
import { recordStep, STEP_APPLIED, STEP_HEADER, STEP_ROW, STEP_SCALE, STEP_UNSCALE } from '../ops/recordStep.js';
import type { Judged } from '../ops/retract.js';
import { scale } from '../ops/scale.js';
import { slice } from '../ops/slice.js';
import type { ParamHooks } from '../params/paramTree.js';
import { branchForm, computesOnCpu, traceUnet, type UnetSizes } from '../pipeline/unetGraph.js';
import { grad } from '../transform/grad.js';

/** What the step needs to know of the adapters. */
export interface TrainedAdapters {
  /** Given to every linear layer of the model. */
  readonly hook: NonNullable<ParamHooks['adapter']>;
  /** Given to layers that are computed as one product. */
  readonly joinedHook: NonNullable<ParamHooks['joinedAdapter']>;
  /** The trained values that the graph has met, as slices of the state buffer `params`. */
  readonly leaves: () => readonly Value[];
  /** Elements of the flat buffers `params`, `grads`, `m` and `v`. */
  readonly total: number;
  /** Work after each optimizer step (orthogonal: 'retract'). */
  readonly afterUpdate?: (graph: Graph, judged: Judged) => void;
}

export interface StepGraphOptions {
  readonly unet: Component;
  readonly sizes: UnetSizes;
  /** `form`: how the device computes their branches. */
  readonly adapters: (graph: Graph, form?: BranchForm) => TrainedAdapters;
  /** drawn: latents and noise come from keys; given: they are inputs. */
  readonly draws: 'drawn' | 'given';
  /**
   * step: forward, backward and optimizer; gradients: forward and backward only, results in `grads`; accumulate: also adds these to
   * `gradSum`; loss: forward only.
   */
  readonly until: 'step' | 'gradients' | 'accumulate' | 'loss';
  /** Judge and note down steps on the device (lib/ops/recordStep.ts), so that the host need not wait for each. */
  readonly record?: StepRecording | undefined;
}

/** How steps are judged and noted down on the device. */
export interface StepRecording {
  /** Steps after which the scale of the loss doubles; 0: no scale, the gradients are those of the loss itself. */
  readonly growthInterval: number;
  /** Steps that can be noted down before the host reads them. */
  readonly rows: number;
  /** Samples of a step; the loss of each is noted down if there are several. */
  readonly samples: number;
}

/** Floats of one row of a record. */
export function rowFloats({ samples }: StepRecording): number {
  return STEP_ROW + (samples > 1 ? samples : 0);
}

/** Floats of the state buffer `steps`. */
export function recordFloats(recording: StepRecording): number {
  return STEP_HEADER + recording.rows * rowFloats(recording);
}

/**
 * One training step: x_t = signal·latents + noiseWeight·noise, prediction = UNet(x_t, t), loss = mean (prediction − target)²
 * with target = targetSignal·latents + targetNoise·noise, gradients of all adapters, AdamW.
 *
 * Inputs: `timesteps`, `signal`, `noiseWeight`, `targetSignal`, `targetNoise` [n], `activeRank` [n] i32, the conditions of
 * `traceUnet`, `lossSeed` [1] (1), `hyper` [8] (ADAMW_HYPER); drawn: `latentMean`, `latentStd` [n, h, w, c] and `latentKey`,
 * `noiseKey` [n, 4]; given: `latents`, `noise`. Results: `loss` [1], `perSample` [n], `norm` [1]; until 'loss' also `residual`
 * [n, h, w, c], prediction − target. With `record` the state buffer
 * `steps` takes the place of `lossSeed`, and for accumulated batches `lossSum` that of the host's sum.
 */
export function stepGraph(options: StepGraphOptions): Graph {
  const graph = createGraph();
  const adapters = options.adapters(graph, branchForm(options.sizes));
  const loss = appendLoss(graph, options, adapters);
  if (options.until === 'loss') return graph;
  const leaves = adapters.leaves();
  const seed = options.record ? state(graph, 'steps', STEP_SCALE, [1], 'loss scale') : input(graph, 'lossSeed', [1]);
  const gradients = grad(loss, seed, leaves, { narrow: computesOnCpu(options.sizes) });
  at(graph, '', 'update', () => {
    gradients.forEach((gradient, i) => {
      if (gradient !== null) settle(gradient, leaves[i]!);
    });
    if (options.until === 'accumulate')
      appendAccumulation(graph, adapters.total, options.record ? { loss, samples: options.record.samples } : null);
    if (options.until === 'step') appendUpdate(graph, 'grads', adapters, loss, options.record);
  });
  return graph;
}

/**
 * The optimizer step over accumulated gradients: inputs `hyper` [8] and, without `record`, `loss` [1]; result `norm` [1].
 */
export function updateGraph(adaptersOf: (graph: Graph) => TrainedAdapters, record?: StepRecording): Graph {
  const graph = createGraph();
  const loss = record ? lossSum(graph) : input(graph, 'loss', [1]);
  at(graph, '', 'update', () => appendUpdate(graph, 'gradSum', adaptersOf(graph), loss, record));
  return graph;
}

function lossSum(graph: Graph): Value {
  return state(graph, 'lossSum', 0, [1], 'mean loss of the batches');
}

function appendLoss(graph: Graph, options: StepGraphOptions, adapters: TrainedAdapters): Value {
  const { unet, sizes } = options;
  const { batch: n, height, width } = sizes;
  const perSample = (name: string): Value => input(graph, name, [n]);
  const { latents, noise } = clean(graph, options, [n, height, width, latentChannels(unet)]);
  const noisy = mixPerSample(latents, noise, perSample('signal'), perSample('noiseWeight'));
  const target = mixPerSample(latents, noise, perSample('targetSignal'), perSample('targetNoise'));
  const sample = cast(noisy, sizes.compute ?? 'f32');
  const { hook: adapter, joinedHook: joinedAdapter } = adapters;
  const { prediction } = traceUnet(graph, unet, sizes, sample, { cached: true, adapter, joinedAdapter });
  const losses = mse(cast(prediction, 'f32'), target);
  result(graph, 'loss', losses.loss);
  result(graph, 'perSample', losses.perSample);
  if (options.until === 'loss') result(graph, 'residual', add(prediction, scale(target, -1)));
  return losses.loss;
}

function latentChannels(unet: Component): number {
  return unet.tensors.get('conv_out.weight')?.shape[0] ?? 4;
}

/** Latents drawn from the picture's distribution, and unit noise. */
function clean(graph: Graph, { draws }: StepGraphOptions, shape: number[]): { latents: Value; noise: Value } {
  if (draws === 'given') return { latents: input(graph, 'latents', shape), noise: input(graph, 'noise', shape) };
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

function appendAccumulation(graph: Graph, total: number, recorded: { loss: Value; samples: number } | null): void {
  const sum = state(graph, 'gradSum', 0, [total], 'sum of all gradients');
  const grads = state(graph, 'grads', 0, [total], 'all gradients');
  const coefficients = input(graph, 'accumulate', [2]);
  accumulate(sum, grads, coefficients);
  if (!recorded) return;
  accumulate(lossSum(graph), recorded.loss, coefficients);
  appendLosses(graph, recorded.samples);
}

function batchLosses(graph: Graph, samples: number): Value {
  return state(graph, 'batchLosses', 0, [samples], 'losses of the last samples');
}

/** Puts the losses of a batch behind those of the batches before it; the oldest go. */
function appendLosses(graph: Graph, samples: number): void {
  const batch = graph.results.get('perSample')!;
  const all = concat(batchLosses(graph, samples), batch);
  const kept = slice(all, { start: batch.shape[0]!, end: all.shape[0]! });
  kept.home = { buffer: 'batchLosses', offset: 0 };
}

function appendUpdate(
  graph: Graph,
  gradBuffer: string,
  adapters: TrainedAdapters,
  loss: Value,
  record: StepRecording | undefined,
): void {
  const whole = (buffer: string): Value => state(graph, buffer, 0, [adapters.total], `all of ${buffer}`);
  const scaled = whole(gradBuffer);
  const grads = record ? unscaled(scaled, record) : scaled;
  const norm = gradNorm(grads);
  result(graph, 'norm', norm);
  const hyper = input(graph, 'hyper', [8]);
  const verdict = record ? judged(graph, record, loss, norm) : loss;
  const applied = record ? state(graph, 'steps', STEP_APPLIED, [1], 'steps applied') : null;
  adamw({ params: whole('params'), grads, m: whole('m'), v: whole('v'), hyper, loss: verdict, norm, applied });
  adapters.afterUpdate?.(graph, { loss: verdict, norm });
}

/** The verdict on a step, noted down with the losses of its samples. */
function judged(graph: Graph, record: StepRecording, loss: Value, norm: Value): Value {
  const steps = state(graph, 'steps', 0, [recordFloats(record)], 'record of steps');
  const losses = graph.results.get('perSample') ?? batchLosses(graph, record.samples);
  const { growthInterval, samples } = record;
  return recordStep({ steps, loss, norm, losses: samples > 1 ? losses : null }, { growthInterval });
}

/** Takes the scale out of the gradients, in place. */
function unscaled(grads: Value, { growthInterval }: StepRecording): Value {
  if (growthInterval === 0) return grads;
  return accumulate(grads, grads, state(grads.graph, 'steps', STEP_UNSCALE, [2], 'inverse loss scale'));
}
