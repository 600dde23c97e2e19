import { availableParallelism } from 'node:os';
import type { AdapterLayout } from '../adapters/adapterLayout.js';
import { attachAdapters, type BranchForm, trainedElements } from '../adapters/attachAdapters.js';
import type { Graph, Phase } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { readUnetConfig } from '../models/unetConfig.js';
import { planDevice } from '../pipeline/device.js';
import { openModel } from '../pipeline/openModel.js';
import type { ComputeType, Precision } from '../pipeline/precision.js';
import { textEncoderConfig } from '../pipeline/textStates.js';
import type { UnetSizes } from '../pipeline/unetGraph.js';
import { liveNodes } from '../plan/lifetimes.js';
import type { MemoryForecast } from '../plan/memoryBudget.js';
import type { Plan } from '../plan/plan.js';
import { setupAdapters } from './adapterSetup.js';
import { attentionMemory, attentionShare } from './attentionMemory.js';
import { trainingResolution } from './pictureLatents.js';
import { type PlanTrainingOptions, resolvePlanOptions } from './planOptions.js';
import { recordingOf } from './stepRecord.js';
import { planStep } from './trainer.js';

/** What training would need; from configs and headers alone. */
export interface PlanReport {
  readonly device: 'cpu' | 'cuda';
  readonly precision: Precision;
  /** Of the UNet. */
  readonly parameters: number;
  readonly trainedValues: number;
  readonly adaptedLinears: number;
  readonly opsForward: number;
  readonly opsBackward: number;
  readonly opsUpdate: number;
  readonly arenaBytes: number;
  readonly livePeakBytes: number;
  readonly forecast: MemoryForecast;
  /** Blocks that would be recomputed to fit the memory. */
  readonly recomputed: readonly string[];
  readonly plan: Plan;
  readonly graph: Graph;
}

/** Sizes of the training step on a square of `side` pixels. */
export function stepSizes(
  model: { unet: Component; vae: Component; textEncoder: Component },
  side: number,
  batch: number,
  compute?: ComputeType,
): UnetSizes {
  const latent = side / readAutoencoderConfig(model.vae.config).downscale;
  const contextTokens = textEncoderConfig(model.textEncoder).maxPositions;
  return { batch, height: latent, width: latent, contextTokens, compute };
}

/** With the memory that a run takes for attention where there is room; here the device is taken to have it. */
function withAttention(forecast: MemoryForecast, wanted: number, memory: number | undefined): MemoryForecast {
  const { workspaceBytes, totalBytes: needed } = forecast;
  const share = attentionShare(wanted, { needed, free: Number.POSITIVE_INFINITY, memory });
  return { ...forecast, workspaceBytes: workspaceBytes + share, totalBytes: needed + share };
}

/** The adapters of the training step, for its graph. */
export function adaptersOf(
  layout: AdapterLayout,
  retract: boolean,
): (graph: Graph, form?: BranchForm) => ReturnType<typeof attachAdapters> {
  return (graph, form) => attachAdapters(graph, layout, { retract, ...form });
}

/**
 * Traces, differentiates and plans one training step, and within `memory` finds the blocks to recompute. Needs neither the
 * addon nor the weights.
 * @throws ConfigError, FileFormatError, OutOfMemoryError that names the smallest memory that works
 */
export function planTraining(given: PlanTrainingOptions): PlanReport {
  const { batch, accumulate, rank, variant, memory, ...options } = resolvePlanOptions(given);
  const model = openModel(options.model, options.config);
  const side = trainingResolution(model.vae, readUnetConfig(model.unet.config).sampleSize, options.resolution);
  const { layout } = setupAdapters(model.unet, { variant, rank });
  const threads = options.threads ?? availableParallelism();
  const device = planDevice(options.device, { threads, precision: options.precision });
  const sizes = stepSizes(model, side, batch, device.compute);
  const adapters = adaptersOf(layout, false);
  const record = recordingOf(device, batch * accumulate);
  const step = { unet: model.unet, sizes, adapters, draws: 'drawn' as const, accumulate, memory, record };
  const planned = planStep(step, device.target);
  const { plan, graph, recomputed } = planned;
  const forecast = withAttention(planned.forecast, device.info.kind === 'cpu' ? 0 : attentionMemory(graph), memory);
  const ops = (phase: Phase): number =>
    liveNodes(graph).filter((n) => n.phase === phase && n.op.kernel !== false).length;
  return {
    device: device.info.kind,
    precision: device.precision,
    parameters: model.unetParameters,
    trainedValues: trainedElements(layout),
    adaptedLinears: layout.layers.length,
    opsForward: ops('forward'),
    opsBackward: ops('backward'),
    opsUpdate: ops('update'),
    arenaBytes: plan.arenaBytes,
    livePeakBytes: plan.livePeakBytes,
    forecast,
    recomputed,
    plan,
    graph,
  };
}
