// The start of adapters: small graphs of draws and decompositions, run by the caller, written to flat buffers.
import { ConfigError } from '../errors.js';
import { createGraph, result } from '../graph/graph.js';
import { svdComponents } from '../ops/svdComponents.js';
import { paramTree } from '../params/paramTree.js';
import { type AdaptedLayer, isOrthogonal } from './adapterSpec.js';
import { frames, gaussianDowns, singularValues } from './randomStart.js';
import { type Piece, type StartOptions, write } from './startPieces.js';

export { type RunGraph, type StartOptions, type StateWriter, startStream } from './startPieces.js';

/** Name and version of the way random starts are drawn: with a seed, it stands for the start itself in compact files. */
export const START_GENERATOR: { readonly name: string; readonly version: number } = {
  name: 'philox4x32-10',
  version: 1,
};

/**
 * Draws the start of all adapters into `params`, and for orthogonal variants into `base` too. Every value has a counter stream of its own,
 * named by its key in the adapter file: a layer's start depends on the seed and its path, not on the other layers, their order or the threads.
 *
 * lora, vanilla: down ~ N(0, 1/r²), up = 0. Orthogonal, from random: independent Haar frames and singular values of an out × in
 * Gaussian with standard deviation 1/r. From weight: singular triples of the weight.
 * @throws ConfigError when weights are needed and absent; the signal's reason when it is aborted
 */
export async function drawStart(options: StartOptions): Promise<void> {
  const pieces = piecesOf(options);
  for (const [i, piece] of pieces.entries()) {
    options.signal?.throwIfAborted();
    const graph = createGraph();
    piece.build(graph);
    piece.take(await options.runGraph(graph, piece.feeds));
    options.onProgress?.(i + 1, pieces.length);
  }
}

function piecesOf(options: StartOptions): Piece[] {
  const { layout, spec } = options;
  if (isOrthogonal(spec.variant) !== layout.orthogonal) {
    throw new ConfigError(`[start] expected a layout for the variant ${spec.variant}, got another one`);
  }
  if (!layout.orthogonal) return gaussianDowns(options);
  if (spec.start.from === 'weight') return layout.layers.map((layer) => weightTriples(options, layer));
  return [...frames(options), ...singularValues(options)];
}

function weightTriples(options: StartOptions, layer: AdaptedLayer): Piece {
  const { weights, spec } = options;
  if (!weights)
    throw new ConfigError('[start] a start from the weights needs the checkpoint that holds them, got none');
  return {
    build: (graph) => {
      const module = paramTree(graph, weights.component, weights.tensors).child(layer.path);
      const w = module.weight('weight', [layer.out, layer.in]);
      const { up, sigma, down } = svdComponents(w, { rank: layer.rank, which: spec.start.which });
      for (const [name, value] of Object.entries({ up, sigma, down })) result(graph, name, value);
    },
    feeds: {},
    take: (results) => {
      write(options, layer.path, 'lora_up', results.get('up')!);
      write(options, layer.path, 'lora_lambda', results.get('sigma')!);
      write(options, layer.path, 'lora_down', results.get('down')!);
    },
  };
}
