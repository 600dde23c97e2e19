// tlora's training step on inputs that another program can be given too.
import { valueName } from '../../lib/adapters/adapterLayout.js';
import { DEFAULT_START } from '../../lib/adapters/adapterSpec.js';
import { activeRank } from '../../lib/adapters/rankSchedule.js';
import { drawStart } from '../../lib/adapters/start.js';
import type { TensorToWrite } from '../../lib/io/safetensors.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import { toChannelsFirst } from '../../lib/pipeline/channelsLast.js';
import { prepareConditions } from '../../lib/pipeline/conditions.js';
import { expectMemory } from '../../lib/pipeline/freeMemory.js';
import { type OpenModel, openModel } from '../../lib/pipeline/openModel.js';
import {
  ensureState,
  type Feeds,
  loadProgram,
  openSession,
  readResult,
  runOnce,
  writeAll,
} from '../../lib/pipeline/session.js';
import type { TextStates } from '../../lib/pipeline/textStates.js';
import { formatBytes } from '../../lib/plan/byteSize.js';
import type { MemoryForecast } from '../../lib/plan/memoryBudget.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';
import { timeFeeds } from '../../lib/train/draws.js';
import { adaptersOf, stepSizes } from '../../lib/train/forecast.js';
import { trainingResolution } from '../../lib/train/pictureLatents.js';
import { adamwHyper, planStep } from '../../lib/train/trainer.js';
import { normals } from './normals.js';
import { measureProduct, type ProfiledCall, profiledCalls } from './profile.js';

export interface StepSettings {
  readonly model: string;
  readonly resolution: number | undefined;
  readonly rank: number;
  readonly threads: number;
}

/** One of several training steps that take turns. */
export interface TimedStep {
  readonly ms: number;
  /** Processor time of all threads: on a busy machine the fairer of the two. */
  readonly cpuMs: number;
  readonly loss: number;
}

export interface OurStep {
  readonly resolution: number;
  /** Components that are active at the measured timestep. */
  readonly activeRank: number;
  /** Of the whole step as planned; adapters at their full rank. */
  readonly flops: number;
  readonly calls: number;
  readonly forecast: MemoryForecast;
  /** Everything that the step depends on beside the model, in PyTorch's layouts. */
  readonly data: () => TensorToWrite[];
  step(): Promise<TimedStep>;
  /** One more step, each call timed. */
  profile(): Promise<ProfiledCall[]>;
  /** GFLOP/s of a plain matrix product of 2048 rows, 1280 to 1280. */
  product(): Promise<number>;
  dispose(): void;
}

/** The middle of the schedule: three quarters of the rank are active, about as many as on average. */
const TIMESTEP = 500;
/** Latents and noise that the steps use in turn. */
const DRAWS = 4;
const OPTIMIZER = { learningRate: 1e-4, weightDecay: 1e-4 };

/** Loads a model and the step, the adapters at an orthogonal start, text states and latents unit normal. */
export async function openOurStep(settings: StepSettings): Promise<OurStep> {
  const model = openModel(settings.model);
  const side = trainingResolution(model.vae, readUnetConfig(model.unet.config).sampleSize, settings.resolution);
  const { layout } = setupAdapters(model.unet, { variant: 'tlora', rank: settings.rank });
  const sizes = stepSizes(model, side, 1);
  const adapters = adaptersOf(layout, false);
  const options = { unet: model.unet, sizes, adapters, draws: 'given' as const, accumulate: 1 };
  const { plan, forecast } = planStep(options, settings.threads);
  expectMemory(forecast.totalBytes, (free) => `Only ${free} are free: close other programs or choose a smaller shape.`);
  const session = openSession(settings.threads);
  const text = textStates(model, sizes.contextTokens);
  const timeIds = [side, side, 0, 0, side, side] as const;
  const conditions = await prepareConditions(session, model, text, [timeIds]);
  for (const name of ['params', 'base', 'grads', 'm', 'v']) ensureState(session, name, layout.flat.total);
  await drawStart({
    layout,
    spec: { variant: 'tlora', rank: settings.rank, start: DEFAULT_START, orthogonal: 'init' },
    seed: 1,
    runGraph: (graph, feeds) => runOnce(session, graph, [], feeds),
    state: session.engine,
  });
  const starts = session.engine.readState('params', 0, layout.flat.total);
  const program = await loadProgram(session, plan, [model.unet]);
  const schedule = noiseSchedule(model.scheduler);
  const ranks = { T: schedule.trainTimesteps, maxRank: settings.rank, minRank: settings.rank >> 1, alpha: 1 };
  const active = activeRank(ranks, TIMESTEP);
  const times = timeFeeds(schedule, [TIMESTEP], [active]);
  writeAll(program, { ...conditions.feeds, ...times, lossSeed: Float32Array.of(1) });
  const shape = [1, sizes.height, sizes.width, 4] as const;
  const draws = Array.from({ length: DRAWS }, (_, i) => {
    const floats = shape[1] * shape[2] * shape[3];
    return { latents: normals(2 * i + 10, floats), noise: normals(2 * i + 11, floats) };
  });
  let count = 0;
  const prepare = (): void =>
    writeAll(program, { hyper: adamwHyper(OPTIMIZER, count + 1), ...draws[count++ % DRAWS]! } satisfies Feeds);
  return {
    resolution: side,
    activeRank: active,
    flops: plan.calls.reduce((sum, { node }) => sum + (node.op.flops?.(node) ?? 0), 0),
    calls: plan.calls.length,
    forecast,
    data: () => [
      ...conditionTensors(text, timeIds),
      ...Object.entries(times).map(([key, data]) => tensor(key, [1], data as Float32Array | Int32Array)),
      tensor('optimizer', [2], Float32Array.of(OPTIMIZER.learningRate, OPTIMIZER.weightDecay)),
      ...(['latents', 'noise'] as const).map((key) => {
        const all = Float32Array.from(draws.flatMap((draw) => [...toChannelsFirst(draw[key], shape)]));
        return tensor(key, [DRAWS, 1, 4, shape[1], shape[2]], all);
      }),
      ...layout.layers.flatMap(({ path }) =>
        (['lora_up', 'lora_down', 'lora_lambda'] as const).map((kind) => {
          const name = valueName(path, kind);
          const { offset, shape: sides, count: floats } = layout.flat.entries.get(name)!;
          return tensor(name, sides, starts.subarray(offset, offset + floats));
        }),
      ),
    ],
    step: async () => {
      const begin = performance.now();
      const cpu = process.cpuUsage();
      prepare();
      await program.run();
      const loss = readResult(program, 'loss')[0]!;
      const { user, system } = process.cpuUsage(cpu);
      return { ms: performance.now() - begin, cpuMs: (user + system) / 1000, loss };
    },
    profile: async () => {
      prepare();
      const { calls } = await program.run({ profile: true });
      return profiledCalls(plan, calls!);
    },
    product: () => measureProduct(session),
    dispose: () => {
      program.dispose();
      session.engine.dispose();
    },
  };
}

function textStates({ unet }: OpenModel, tokens: number): TextStates {
  const { crossAttentionDim: width, textTime } = readUnetConfig(unet.config);
  const pooled = textTime ? normals(2, textTime.inputDim - 6 * textTime.timeDim) : null;
  return { n: 1, tokens, width, states: normals(1, tokens * width), pooled, truncated: [] };
}

function tensor(key: string, shape: readonly number[], data: Float32Array | Int32Array): TensorToWrite {
  return { key, dtype: data instanceof Int32Array ? 'I32' : 'F32', shape, data };
}

function conditionTensors(text: TextStates, timeIds: readonly number[]): TensorToWrite[] {
  return [
    tensor('encoderHiddenStates', [1, text.tokens, text.width], text.states),
    ...(text.pooled ? [tensor('textEmbeds', [1, text.pooled.length], text.pooled)] : []),
    ...(text.pooled ? [tensor('timeIds', [1, 6], Float32Array.from(timeIds))] : []),
  ];
}

/** A sentence on what the plan takes. */
export function forecastLine({ forecast, calls, flops }: OurStep): string {
  const { weightBytes, stateBytes, arenaBytes, totalBytes } = forecast;
  const [total, weights, states, arena] = [totalBytes, weightBytes, stateBytes, arenaBytes].map(formatBytes);
  return `${calls} calls, ${(flops / 1e9).toFixed(1)} GFLOP; planned memory ${total} (weights ${weights}, adapters ${states}, arena ${arena})`;
}
