import type { AdapterLayout } from '../adapters/adapterLayout.js';
import { OutOfMemoryError } from '../errors.js';
import { predictionGraph } from '../generate/denoiser.js';
import type { Graph } from '../graph/graph.js';
import type { ComputeDevice } from '../pipeline/device.js';
import type { OpenModel } from '../pipeline/openModel.js';
import { decodeGraph, encodeGraph } from '../pipeline/pictures.js';
import { type ComputeType, encodingType } from '../pipeline/precision.js';
import { textEncoderConfig, textEncoderGraph } from '../pipeline/textStates.js';
import { crossAttentionGraph, type UnetSizes } from '../pipeline/unetGraph.js';
import { formatBytes } from '../plan/byteSize.js';
import { makePlan } from '../plan/makePlan.js';
import { type BudgetedPlan, type MemoryForecast, memoryForecast } from '../plan/memoryBudget.js';
import { adaptersOf } from './forecast.js';
import { stepGraph } from './stepGraph.js';
import { planStep, type TrainerOptions } from './trainer.js';

/** What the phases before and between the training steps work on. */
export interface PhaseSizes {
  readonly model: OpenModel;
  readonly layout: AdapterLayout;
  /** Of the UNet at a training step. */
  readonly step: UnetSizes;
  /** Side of the pictures in pixels. */
  readonly side: number;
  /** Prompts that are encoded together. */
  readonly prompts: number;
  /** Whether pictures are made during training. */
  readonly samples: boolean;
  /** Whether the run is watched, and makes pictures for that. */
  readonly watch: { readonly pictures: boolean } | null;
  readonly device: ComputeDevice;
}

/** The training step planned, and the bytes that the run needs at its largest. */
export interface PlannedRun extends BudgetedPlan {
  readonly neededBytes: number;
}

const forecastOf = (graph: Graph, { target }: ComputeDevice): MemoryForecast => memoryForecast(makePlan(graph, target));

/** The forward pass of the overfit meter, which stays loaded beside the training step. */
function watchForecast({ model, step, layout, device }: PhaseSizes): MemoryForecast {
  const adapters = adaptersOf(layout, false);
  const sizes = { ...step, batch: 1 };
  return forecastOf(stepGraph({ unet: model.unet, sizes, adapters, draws: 'drawn', until: 'loss' }), device);
}

/** Rows of a guided prediction. */
const GUIDED_ROWS = 2;

function textGraphs(model: OpenModel, n: number, compute: ComputeType | undefined): Graph[] {
  const { textEncoder, textEncoder2 } = model;
  const graph = (encoder: typeof textEncoder, wanted: string[]): Graph =>
    textEncoderGraph(encoder, textEncoderConfig(encoder), n, wanted, compute);
  return textEncoder2
    ? [graph(textEncoder, ['penultimate']), graph(textEncoder2, ['penultimate', 'pooled'])]
    : [graph(textEncoder, ['last'])];
}

/** Bytes of encoding pictures and prompts: one model after the other, in an arena that only grows. */
export function encodeBytes({ model, step, side, prompts, samples, watch, device }: PhaseSizes): number {
  const { compute } = device;
  const rows = samples || watch?.pictures ? [prompts, GUIDED_ROWS] : [prompts];
  const graphs = [
    encodeGraph(model.vae, side, side, encodingType(compute)),
    ...rows.flatMap((n) => [
      ...textGraphs(model, n, compute),
      crossAttentionGraph(model.unet, n, step.contextTokens, compute),
    ]),
  ];
  let arena = 0;
  return Math.max(
    ...graphs.map((graph) => {
      const { totalBytes, arenaBytes } = forecastOf(graph, device);
      arena = Math.max(arena, arenaBytes);
      return totalBytes - arenaBytes + arena;
    }),
  );
}

/** Bytes of making a picture beside a training step that is loaded: they share weights, state and arena. Pictures of the watch are not decoded. */
export function sampleBytes({ model, layout, step, samples, device }: PhaseSizes, training: MemoryForecast): number {
  const { height, width, contextTokens, compute } = step;
  const adapter = { layout, strength: 1 };
  const sizes = { batch: GUIDED_ROWS, height, width, contextTokens, adapter, compute };
  const predict = forecastOf(predictionGraph(model.unet, sizes), device);
  const decode = forecastOf(decodeGraph(model.vae, height, width, compute), device);
  const held = training.totalBytes - training.arenaBytes;
  const arena = Math.max(predict.arenaBytes, training.arenaBytes);
  if (!samples) return held + arena + predict.ioBytes;
  return Math.max(
    held + arena + predict.ioBytes,
    held + Math.max(arena, decode.arenaBytes) + decode.weightBytes + decode.ioBytes,
  );
}

/**
 * Plans the training step within `memory`, and sums what the run needs in its largest phase.
 * @throws OutOfMemoryError that names the smallest memory that works
 */
export function planRun(trainer: Omit<TrainerOptions, 'optimizer'>, phases: PhaseSizes): PlannedRun {
  const { memory } = trainer;
  const encoding = encodeBytes(phases);
  const watching = phases.watch ? watchForecast(phases).ioBytes : 0;
  const limit = memory === undefined ? undefined : Math.max(memory, encoding) - watching;
  const planned = planStep({ ...trainer, memory: limit }, phases.device.target);
  const training = planned.forecast;
  const sampling = phases.samples || phases.watch?.pictures ? sampleBytes(phases, training) : 0;
  const neededBytes = Math.max(encoding, training.totalBytes + watching, sampling + watching);
  if (memory === undefined || neededBytes <= memory) return { ...planned, neededBytes };
  const least = formatBytes(neededBytes);
  const phase = sampling > encoding ? 'to make pictures during training' : 'to encode the pictures and prompts';
  throw new OutOfMemoryError(`memory: expected at least ${least} ${phase}, got ${formatBytes(memory)}`, {
    hint: `Allow --memory ${least}, or lower --resolution.`,
  });
}
