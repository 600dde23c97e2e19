// The gradient of every tensor of whole models: in float64, along a random direction, against finite differences; and the engine's against these.
import { describe, expect, it } from 'vitest';
import { createGraph, elements, type Graph, input, result, type Value } from '../../lib/graph/graph.js';
import { readAutoencoderConfig } from '../../lib/models/autoencoderConfig.js';
import { stateTrees } from '../../lib/pretrain/trainedTree.js';
import { appendUnetLoss, unetLayout } from '../../lib/pretrain/unetGraphs.js';
import { appendVaeLoss, edgeKernel, vaeLayout } from '../../lib/pretrain/vaeGraphs.js';
import { grad } from '../../lib/transform/grad.js';
import { tinyPlan } from '../pretrain/tinyPlan.js';
import { relativeError } from '../support/checkKernel.js';
import { interpret } from '../support/interpreter.js';
import { runNative } from '../support/nativeRun.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const { configs } = tinyPlan();

/** Random values for every leaf that is not given. */
function fillLeaves(graph: Graph, given: Readonly<Record<string, ArrayLike<number>>>): Map<Value, Float64Array> {
  const random = pseudoRandom(5);
  const leaves = new Map<Value, Float64Array>();
  for (const leaf of graph.leaves.values()) {
    const data = given[leaf.name];
    const isNorm = leaf.shape.length === 1 && leaf.name.endsWith('.weight');
    const spread = leaf.leaf?.kind === 'state' ? 0.3 : 1;
    const draw = (): number => random.normal() * spread + (isNorm ? 1 : 0);
    leaves.set(leaf, data ? Float64Array.from(data) : Float64Array.from({ length: elements(leaf.shape) }, draw));
  }
  return leaves;
}

interface Errors {
  readonly name: string;
  /** How far ⟨gradient, direction⟩ is from the difference quotient, relative to the norm of the gradient. */
  readonly differences: number;
  /** How far the engine's gradient is from the one in float64, the same. */
  readonly native: number;
}

async function gradientErrors(
  graph: Graph,
  loss: Value,
  given: Readonly<Record<string, ArrayLike<number>>>,
): Promise<Errors[]> {
  const forward: Graph = { ...graph, nodes: graph.nodes.slice() };
  const tensors = [...graph.leaves.values()].filter(({ leaf }) => leaf?.kind === 'state');
  const seed = input(graph, 'seed', [1]);
  const gradients = grad(loss, seed, tensors);
  const leaves = fillLeaves(graph, { ...given, seed: [1] });
  for (const [leaf, values] of leaves) leaves.set(leaf, Float64Array.from(Float32Array.from(values)));
  gradients.forEach((gradient, i) => {
    result(graph, tensors[i]!.name, gradient!);
  });
  const all = interpret(graph, leaves);
  const native = await runNative(graph, leaves, { threads: 2 });
  const random = pseudoRandom(8);
  const step = 1e-5;
  return tensors.map((tensor, i) => {
    const at = leaves.get(tensor)!;
    const gradient = all.get(gradients[i]!)!;
    const direction = at.map(() => random.normal());
    const moved = (by: number): number => {
      const values = at.map((v, k) => v + by * direction[k]!);
      return interpret(forward, new Map([...leaves, [tensor, values]])).get(loss)![0]!;
    };
    const quotient = (moved(step) - moved(-step)) / (2 * step);
    const along = gradient.reduce((sum, g, k) => sum + g * direction[k]!, 0);
    const norm = Math.hypot(...gradient);
    return {
      name: tensor.name,
      differences: Math.abs(quotient - along) / Math.max(norm, 1e-3),
      native: relativeError(native.get(tensor.name)!, gradient) * Math.min(1, norm / 1e-3),
    };
  });
}

/**
 * Tensors beyond the bounds: of the difference quotient in float64; of the engine, 5e-5, because the gradients of queries and keys are
 * differences of nearly equal terms, and what is left of them keeps only their last digits.
 */
const wrong = (errors: readonly Errors[]): Errors[] =>
  errors.filter(({ differences, native }) => !(differences < 1e-5 && native < 5e-5));

describe('gradients of whole models', () => {
  it('are right for every tensor of the autoencoder, whatever the part of the loss', async () => {
    const graph = createGraph();
    const p = stateTrees(graph, vaeLayout(configs.vae), 'params')('vae');
    const weights = { absolute: 0.5, squared: 1, edges: 0.5, divergence: 0.1 };
    const loss = appendVaeLoss(p, readAutoencoderConfig(configs.vae), input(graph, 'image', [1, 4, 4, 3]), weights);
    const errors = await gradientErrors(graph, loss, {
      latentKey: [1, 2, 3, 4],
      edgeKernel: edgeKernel(),
      extraWeight: Array.from({ length: 48 }, (_, i) => (i % 5) / 2),
    });
    expect(errors.length).toBe(vaeLayout(configs.vae).entries.size);
    expect(wrong(errors)).toEqual([]);
  });

  it('are right for every tensor of UNet, text encoder and the silhouette’s head', async () => {
    const graph = createGraph();
    const trees = stateTrees(graph, unetLayout(configs), 'params');
    const cellPixels = readAutoencoderConfig(configs.vae).downscale ** 2;
    const loss = appendUnetLoss(trees, configs, input(graph, 'latents', [1, 4, 4, 4]), {
      emphasis: input(graph, 'emphasis', [1, 4, 4, 4]),
      silhouette: input(graph, 'silhouette', [1, 4, 4, cellPixels]),
    });
    const errors = await gradientErrors(graph, loss, {
      inputIds: [515, 3, 517, 3, 520, 521, 521, 521],
      noiseKey: [1, 2, 3, 4],
      timesteps: [400],
      // Small: the exact gradient of biases of keys is 0, and what rounding leaves of it grows with the loss.
      emphasis: Array.from({ length: 64 }, (_, i) => (i % 4) / 8),
      silhouetteShare: [0.4],
      silhouetteRest: [0.6],
    });
    expect(errors.length).toBe(unetLayout(configs).entries.size);
    expect(wrong(errors)).toEqual([]);
  });
});
