import type { BranchForm } from '../adapters/attachAdapters.js';
import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { joinedInputs, KV } from '../models/attention.js';
import { joinedLinearLayers, linearLayer } from '../models/layers.js';
import { unet2dCondition } from '../models/unet2dCondition.js';
import { readUnetConfig, type UnetConfig } from '../models/unetConfig.js';
import { slice } from '../ops/slice.js';
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
  return computesOnCpu(sizes) ? { merge: true } : { partOf: blockOf, joinOf: joinedInputs };
}

const CROSS_ATTENTION = /^(.*\.attn2)\.to_[kv]$/;

/** The modules whose to_k and to_v read the text states, in network order. */
function crossAttentions(unet: Component): string[] {
  const paths = [...unet.tensors.keys()].map((key) => CROSS_ATTENTION.exec(key.replace(/\.weight$/, ''))?.[1]);
  return [...new Set(paths.filter((path) => path !== undefined))];
}

function features(unet: Component, path: string): number {
  return unet.tensors.get(`${path}.weight`)!.shape[0]!;
}

/** The name of what holds to_k's and to_v's base products of a module side by side. */
const joinedName = (module: string): string => `cached/${module}.${KV.join('+')}`;

/** Whether a module has its base products side by side: on a CUDA device, where to_k and to_v are alike. */
function areJoined(tree: ParamTree, module: string): boolean {
  const p = tree.child(module);
  const biased = KV.some((name) => p.fileShape(`${name}.bias`) !== null);
  return tree.hooks.compute !== undefined && p.alike(KV, 'weight') && (!biased || p.alike(KV, 'bias'));
}

/**
 * The inputs that hold the base products of cross-attention's to_k and to_v: they depend on the prompt alone and are computed once, by
 * `crossAttentionGraph`.
 */
function cachedProducts(
  graph: Graph,
  unet: Component,
  { batch, contextTokens, compute }: UnetSizes,
  treeOf: () => ParamTree,
): Required<Pick<ParamHooks, 'cachedBase' | 'cachedJoinedBase'>> {
  const held = (name: string, channels: number): Value =>
    input(graph, name, [batch, contextTokens, channels], compute ?? 'f32');
  const joined = (path: string): Value | null => {
    const module = CROSS_ATTENTION.exec(path)?.[1];
    if (module === undefined || !areJoined(treeOf(), module)) return null;
    return held(joinedName(module), KV.length * features(unet, path));
  };
  const cachedBase = (path: string): Value | null => {
    if (!CROSS_ATTENTION.test(path)) return null;
    const both = joined(path);
    const out = features(unet, path);
    const start = KV.findIndex((name) => path.endsWith(name)) * out;
    return both ? slice(both, { start, end: start + out }) : held(`cached/${path}`, out);
  };
  return { cachedBase, cachedJoinedBase: (paths) => joined(paths[0]!) };
}

/**
 * Appends the UNet to a graph. Inputs: `timesteps` [n], `encoderHiddenStates` [n, s, e], for SDXL `textEmbeds` [n, p] and `timeIds`
 * [n, 6], and with `cached` also those of `crossAttentionGraph`.
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
  const held = cached ? cachedProducts(graph, unet, sizes, () => tree) : {};
  const tree: ParamTree = paramTree(graph, 'unet', unet.tensors, { ...hooks, compute, ...held });
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
 * Input `encoderHiddenStates` [n, s, e]; results by the names of the UNet's inputs: `cached/<path>` [n, s, out] of each layer, or of two
 * side by side.
 */
export function crossAttentionGraph(unet: Component, n: number, contextTokens: number, compute?: ComputeType): Graph {
  const graph = createGraph();
  const config = readUnetConfig(unet.config);
  const tree = paramTree(graph, 'unet', unet.tensors, { compute });
  const states = input(graph, 'encoderHiddenStates', [n, contextTokens, config.crossAttentionDim], compute);
  for (const module of crossAttentions(unet)) {
    const p = tree.child(module);
    const of = (name: string): { out: number; bias: boolean } => {
      const path = `${module}.${name}`;
      return { out: features(unet, path), bias: unet.tensors.has(`${path}.bias`) };
    };
    const both = areJoined(tree, module) ? joinedLinearLayers(p, KV, states, of(KV[0]!)) : null;
    if (both) result(graph, joinedName(module), both);
    else for (const name of KV) result(graph, `cached/${module}.${name}`, linearLayer(p.child(name), states, of(name)));
  }
  return graph;
}
