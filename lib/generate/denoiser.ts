import type { AdapterLayout } from '../adapters/adapterLayout.js';
import { attachAdapters } from '../adapters/attachAdapters.js';
import type { Program } from '../addon/surface.js';
import { createGraph, type Graph, input, result } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { readUnetConfig } from '../models/unetConfig.js';
import type { Conditions } from '../pipeline/conditions.js';
import { type Feeds, loadProgram, readResult, type Session, writeAll } from '../pipeline/session.js';
import { branchForm, traceUnet, type UnetSizes } from '../pipeline/unetGraph.js';

/** An adapter whose values lie in the state buffers `params` and `base`. */
export interface SampledAdapter {
  readonly layout: AdapterLayout;
  /** Factor on its change. */
  readonly strength: number;
}

export interface PredictionSizes extends UnetSizes {
  readonly adapter?: SampledAdapter | undefined;
}

/**
 * The UNet as sampling runs it: base products of cross-attention are inputs (lib/pipeline/conditions.ts).
 * Inputs: `sample` [n, h, w, c], `timesteps` [n], the conditions, and with an adapter `activeRank` [n], all equal; result `prediction`.
 */
export function predictionGraph(unet: Component, sizes: PredictionSizes): Graph {
  const graph = createGraph();
  const { inChannels } = readUnetConfig(unet.config);
  const { batch, height, width, compute, adapter } = sizes;
  const sample = input(graph, 'sample', [batch, height, width, inChannels], compute);
  const options = { strength: adapter?.strength ?? 1, ...branchForm(sizes), equalRanks: true };
  const attached = adapter && attachAdapters(graph, adapter.layout, options);
  const hooks = attached && { adapter: attached.hook, joinedAdapter: attached.joinedHook };
  const { prediction } = traceUnet(graph, unet, sizes, sample, { cached: true, ...hooks });
  result(graph, 'prediction', prediction);
  return graph;
}

export interface DenoiserOptions {
  readonly unet: Component;
  /** One row, or for guidance two: the negative prompt's, then the prompt's. */
  readonly conditions: Conditions;
  /** Of the latents. */
  readonly height: number;
  readonly width: number;
  /** Tokens of the text states. */
  readonly contextTokens: number;
  readonly adapter?: SampledAdapter | undefined;
}

/** The model at one time, on one picture under one or two prompts. */
export interface Denoiser {
  /**
   * @param latents [h, w, c]
   * @param activeRank components in use, in every row; ignored without an adapter
   * @returns predictions of all rows, [rows, h, w, c]
   */
  predict(latents: Float32Array, t: number, activeRank: number): Promise<Float32Array>;
  dispose(): void;
}

/** Loads the UNet for sampling; the conditions are written once. */
export async function createDenoiser(session: Session, options: DenoiserOptions): Promise<Denoiser> {
  const { unet, conditions, adapter } = options;
  const rows = conditions.n;
  const program = await loadProgram(
    session,
    predictionGraph(unet, { ...options, batch: rows, compute: session.compute }),
    [unet],
  );
  writeAll(program, conditions.feeds);
  return {
    predict: (latents, t, activeRank) =>
      runPrediction(program, {
        sample: repeat(latents, rows),
        timesteps: new Float32Array(rows).fill(t),
        ...(adapter && { activeRank: new Int32Array(rows).fill(activeRank) }),
      }),
    dispose: () => program.dispose(),
  };
}

async function runPrediction(program: Program, feeds: Feeds): Promise<Float32Array> {
  writeAll(program, feeds);
  await program.run();
  return readResult(program, 'prediction');
}

function repeat(x: Float32Array, times: number): Float32Array {
  const y = new Float32Array(times * x.length);
  for (let i = 0; i < times; i++) y.set(x, i * x.length);
  return y;
}
