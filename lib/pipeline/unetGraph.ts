import type { BranchForm } from '../adapters/attachAdapters.js';
import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { selfAttentionInputs } from '../models/attention.js';
import { linearLayer } from '../models/layers.js';
import { unet2dCondition } from '../models/unet2dCondition.js';
import { readUnetConfig, type UnetConfig } from '../models/unetConfig.js';
import { type ParamHooks, type ParamTree, paramTree } from '../params/paramTree.js';
import { blockOf } from '../transform/remat.js';
import type { ComputeType } from './precision.js';

/** Sizes of one UNet pass. */
export interface UnetSizes {
  readonly batch: number;
  /** Of the latents. */
  readonly height: number;
  readonly width: number;
  /** Tokens of the text states, usually 77. */
  readonly contextTokens: number;
  /** Type of activations and matrices as CUDA computes; undefined: f32, and weights in their stored type. */
  readonly compute?: ComputeType | undefined;
}

export interface TracedUnet {
  readonly config: UnetConfig;
  readonly tree: ParamTree;
  readonly prediction: Value;
}

/** Whether a graph of these sizes is the CPU's: float32 throughout, and ops that only the CPU has are allowed. */
export function computesOnCpu({ compute }: Pick<UnetSizes, 'compute'>): boolean {
  return compute === undefined;
}

/** How adapters' branches are computed in a graph of these sizes. */
export function branchForm(sizes: Pick<UnetSizes, 'compute'>): BranchForm {
  return computesOnCpu(sizes) ? { merge: true } : { partOf: blockOf, joinOf: selfAttentionInputs };
}

const CROSS_ATTENTION_INPUT = /\.attn2\.to_[kv]$/;

/** Module paths of all to_k and to_v that read the text states, in network order. */
export function crossAttentionInputs(unet: Component): string[] {
  return [...unet.tensors.keys()]
    .filter((key) => key.endsWith('.weight'))
    .map((key) => key.slice(0, -'.weight'.length))
    .filter((path) => CROSS_ATTENTION_INPUT.test(path));
}

function features(unet: Component, path: string): number {
  return unet.tensors.get(`${path}.weight`)!.shape[0]!;
}

/**
 * The inputs that hold the base products of cross-attention's to_k and to_v, by module path: they depend on the prompt alone and
 * are computed once, by `crossAttentionGraph`.
 */
export function cachedProduct(graph: Graph, unet: Component, sizes: UnetSizes, path: string): Value | null {
  if (!CROSS_ATTENTION_INPUT.test(path)) return null;
  const shape = [sizes.batch, sizes.contextTokens, features(unet, path)];
  return input(graph, `cached/${path}`, shape, sizes.compute ?? 'f32');
}

/**
 * Appends the UNet to a graph. Inputs: `timesteps` [n], `encoderHiddenStates` [n, s, e], for SDXL `textEmbeds` [n, p] and `timeIds`
 * [n, 6], and with `cached` also `cached/<path>`.
 * @param sample [n, h, w, c]
 */
export function traceUnet(
  graph: Graph,
  unet: Component,
  sizes: UnetSizes,
  sample: Value,
  { cached, ...hooks }: ParamHooks & { cached: boolean },
): TracedUnet {
  const config = readUnetConfig(unet.config);
  const { batch: n, contextTokens, compute } = sizes;
  const dtype = compute ?? 'f32';
  const cachedBase = cached ? (path: string) => cachedProduct(graph, unet, sizes, path) : undefined;
  const tree = paramTree(graph, 'unet', unet.tensors, { ...hooks, compute, ...(cachedBase ? { cachedBase } : {}) });
  const timesteps = input(graph, 'timesteps', [n]);
  const encoderHiddenStates = input(graph, 'encoderHiddenStates', [n, contextTokens, config.crossAttentionDim], dtype);
  const { textTime } = config;
  const more = textTime && {
    textEmbeds: input(graph, 'textEmbeds', [n, textTime.inputDim - 6 * textTime.timeDim], dtype),
    timeIds: input(graph, 'timeIds', [n, 6]),
  };
  const prediction = unet2dCondition(tree, config, { sample, timesteps, encoderHiddenStates, ...more });
  tree.expectAllUsed();
  return { config, tree, prediction };
}

/**
 * The graph that computes the base products of cross-attention for `n` rows of text states.
 * Input `encoderHiddenStates` [n, s, e]; results `cached/<path>` [n, s, out].
 */
export function crossAttentionGraph(unet: Component, n: number, contextTokens: number, compute?: ComputeType): Graph {
  const graph = createGraph();
  const config = readUnetConfig(unet.config);
  const tree = paramTree(graph, 'unet', unet.tensors, { compute });
  const states = input(graph, 'encoderHiddenStates', [n, contextTokens, config.crossAttentionDim], compute);
  for (const path of crossAttentionInputs(unet)) {
    const p = tree.child(path);
    const bias = unet.tensors.has(`${path}.bias`);
    result(graph, `cached/${path}`, linearLayer(p, states, { out: features(unet, path), bias }));
  }
  return graph;
}
