// tlora's training step on inputs that another program can be given too.
import { activeRank } from '../../lib/adapters/rankSchedule.js';
import type { TensorToWrite } from '../../lib/io/safetensors.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import { toChannelsFirst } from '../../lib/pipeline/channelsLast.js';
import { prepareConditions } from '../../lib/pipeline/conditions.js';
import { planDevice } from '../../lib/pipeline/device.js';
import { expectMemory } from '../../lib/pipeline/freeMemory.js';
import { openModel } from '../../lib/pipeline/openModel.js';
import { ensureState, type Feeds, loadProgram, openSession, readResult, writeAll } from '../../lib/pipeline/session.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';
import { timeFeeds } from '../../lib/train/draws.js';
import { adaptersOf, stepSizes } from '../../lib/train/forecast.js';
import { trainingResolution } from '../../lib/train/pictureLatents.js';
import { adamwHyper, planStep } from '../../lib/train/trainer.js';
import { type Timed, timed } from '../times.js';
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
} from './inputs.js';
import { normals } from './normals.js';
import { measureProduct, type ProfiledCall, profiledCalls } from './profile.js';

export interface StepSettings {
  readonly model: string;
  readonly resolution: number | undefined;
  readonly rank: number;
  readonly threads: number;
}

/** One of several training steps that take turns. */
export interface TimedStep extends Timed {
  readonly loss: number;
}

export interface OurStep extends Planned {
  readonly resolution: number;
  /** Components that are active at the measured timestep. */
  readonly activeRank: number;
  /** Everything that the step depends on beside the model, in PyTorch's layouts. */
  readonly data: () => TensorToWrite[];
  readonly step: () => Promise<TimedStep>;
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
  expectMemory(
    planDevice('cpu', { threads: settings.threads, precision: undefined }),
    forecast.totalBytes,
    (free) => `Only ${free} are free: close other programs or choose a smaller shape.`,
  );
  const session = openSession(settings.threads);
  const text = textStates(model, 1, sizes.contextTokens);
  const timeIds = squareTimeIds(side);
  const conditions = await prepareConditions(session, model, text, [timeIds]);
  for (const name of ['grads', 'm', 'v']) ensureState(session, name, layout.flat.total);
  const starts = await drawAdapters(session, layout, settings.rank);
  const program = await loadProgram(session, plan, [model.unet]);
  const schedule = noiseSchedule(model.scheduler);
  const active = activeRank(usualSchedule(schedule.trainTimesteps, settings.rank), TIMESTEP);
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
    flops: planFlops(plan),
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
      ...adapterTensors(layout, starts),
    ],
    step: async () => {
      const { result: loss, ...times } = await timed(async () => {
        prepare();
        await program.run();
        return readResult(program, 'loss')[0]!;
      });
      return { ...times, loss };
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
