// tlora's generation, step by step, on inputs that another program can be given too.
import { activeRank } from '../../lib/adapters/rankSchedule.js';
import { createDenoiser, predictionGraph } from '../../lib/generate/denoiser.js';
import { latentSize } from '../../lib/generate/pictures.js';
import { samplerFor, sampleStep } from '../../lib/generate/sample.js';
import type { TensorToWrite } from '../../lib/io/safetensors.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import { toChannelsFirst } from '../../lib/pipeline/channelsLast.js';
import { prepareConditions } from '../../lib/pipeline/conditions.js';
import { planDevice } from '../../lib/pipeline/device.js';
import { expectMemory } from '../../lib/pipeline/freeMemory.js';
import { openModel } from '../../lib/pipeline/openModel.js';
import { openSession, type Session } from '../../lib/pipeline/session.js';
import { textEncoderConfig } from '../../lib/pipeline/textStates.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { memoryForecast } from '../../lib/plan/memoryBudget.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import type { Sampler } from '../../lib/schedulers/sampler.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';
import { trainingResolution } from '../../lib/train/pictureLatents.js';
import {
  adapterTensors,
  conditionTensors,
  drawAdapters,
  type Planned,
  planFlops,
  squareTimeIds,
  tensor,
  textStates,
  usualSchedule,
} from '../step/inputs.js';
import { normals } from '../step/normals.js';
import type { ModelSettings } from '../step/settings.js';
import { type Timed, timed } from '../times.js';

export interface GenerationSettings extends ModelSettings {
  readonly steps: number;
  readonly guidance: number;
}

export interface OurGeneration extends Planned {
  readonly resolution: number;
  /** Components in use at each step. */
  readonly ranks: readonly number[];
  /** Everything that the generation depends on beside the model, in PyTorch's layouts. */
  readonly data: () => TensorToWrite[];
  /** The first step, without going on from it. */
  warm(): Promise<Timed>;
  /** The next step. */
  readonly step: () => Promise<Timed>;
  /** The latents so far, [1, c, h, w]. */
  readonly latents: () => Float32Array;
  dispose(): void;
}

/** Values change by this share of themselves, so that the adapters change the predictions. */
const TRAINED_CHANGE = 0.3;

/** Loads a model for sampling; text states and noise are unit normal, the adapters somewhat away from an orthogonal start. */
export async function openOurGeneration(settings: GenerationSettings): Promise<OurGeneration> {
  const { rank, threads, guidance } = settings;
  const model = openModel(settings.model);
  const { inChannels, sampleSize } = readUnetConfig(model.unet.config);
  const side = trainingResolution(model.vae, sampleSize, settings.resolution);
  const { height, width } = latentSize(model, side, side);
  const { layout } = setupAdapters(model.unet, { variant: 'tlora', rank });
  const rows = guidance === 1 ? 1 : 2;
  const contextTokens = textEncoderConfig(model.textEncoder).maxPositions;
  const sizes = { height, width, contextTokens, adapter: { layout, strength: 1 } };
  const plan = makePlan(predictionGraph(model.unet, { ...sizes, batch: rows }), threads);
  const forecast = memoryForecast(plan);
  expectMemory(
    planDevice('cpu', { threads: threads, precision: undefined }),
    forecast.totalBytes,
    (free) => `Only ${free} are free: close other programs or choose a smaller shape.`,
  );
  const session = openSession(threads);
  const text = textStates(model, rows, contextTokens);
  const timeIds = squareTimeIds(side);
  const conditions = await prepareConditions(session, model, text, Array(rows).fill(timeIds));
  const start = await drawAdapters(session, layout, rank);
  const trained = changed(session, start);
  const denoiser = await createDenoiser(session, { unet: model.unet, conditions, ...sizes });
  const schedule = noiseSchedule(model.scheduler);
  const sampler = samplerFor(schedule, { sampler: 'euler', steps: settings.steps, karras: false });
  const ranks = usualSchedule(schedule.trainTimesteps, rank);
  const options = { denoiser, sampler, guidance, activeRank: (t: number) => activeRank(ranks, t) };
  const ranksUsed = [...sampler.timesteps].map(options.activeRank);
  const shape = [1, height, width, inChannels] as const;
  const first = normals(10, height * width * inChannels).map((v) => v * sampler.initNoiseSigma);
  let latents: Float32Array = first;
  let done = 0;
  return {
    resolution: side,
    ranks: ranksUsed,
    flops: planFlops(plan),
    calls: plan.calls.length,
    forecast,
    data: () => [
      ...conditionTensors(text, timeIds),
      ...samplerTensors(sampler, ranksUsed, guidance),
      tensor('latents', [1, inChannels, height, width], toChannelsFirst(first, shape)),
      ...adapterTensors(layout, start),
      ...adapterTensors(layout, trained, 'trained.'),
    ],
    warm: () => timed(() => sampleStep(options, 0, first)),
    step: async () => {
      const { result, ...times } = await timed(() => sampleStep(options, done++, latents));
      latents = result;
      return times;
    },
    latents: () => toChannelsFirst(latents, shape),
    dispose: () => {
      denoiser.dispose();
      session.engine.dispose();
    },
  };
}

/** Changes the adapters' values at random. @returns the new ones */
function changed(session: Session, start: Float32Array): Float32Array {
  const change = normals(20, start.length);
  const trained = start.map((value, i) => value * (1 + TRAINED_CHANGE * change[i]!));
  session.engine.writeState('params', 0, trained);
  return trained;
}

function samplerTensors(sampler: Sampler, ranks: readonly number[], guidance: number): TensorToWrite[] {
  const { timesteps, sigmas } = sampler;
  return [
    tensor('timesteps', [timesteps.length], Float32Array.from(timesteps)),
    tensor('sigmas', [sigmas.length], Float32Array.from(sigmas)),
    tensor('ranks', [ranks.length], Int32Array.from(ranks)),
    tensor('guidance', [1], Float32Array.of(guidance)),
  ];
}
