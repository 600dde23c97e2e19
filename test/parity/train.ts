import type { AdapterLayout } from '../../lib/adapters/adapterLayout.js';
import { activeRank } from '../../lib/adapters/rankSchedule.js';
import { toChannelsLast } from '../../lib/pipeline/channelsLast.js';
import { prepareConditions } from '../../lib/pipeline/conditions.js';
import type { Feeds } from '../../lib/pipeline/session.js';
import { targetDevice } from '../../lib/plan/target.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { timeFeeds } from '../../lib/train/draws.js';
import { adaptersOf } from '../../lib/train/forecast.js';
import { recordingOf } from '../../lib/train/stepRecord.js';
import { createTrainer, type OptimizerSettings, type Trainer } from '../../lib/train/trainer.js';
import { keysBelow, loadAdapter, valuesByKey } from './adapterValues.js';
import { BOUNDS } from './bounds.js';
import { type Checks, overAll, squares } from './checks.js';
import type { Pipeline } from './pipeline.js';
import { type Reference, row } from './reference.js';
import { textStatesOf, timeIdsOf } from './unet.js';

function optimizerOf(reference: Reference): OptimizerSettings {
  const [beta1, beta2] = reference.metadata('betas') as [number, number];
  const eps = reference.number('eps');
  return { learningRate: reference.number('lr'), weightDecay: reference.number('weight_decay'), beta1, beta2, eps };
}

async function trainerFor(pipeline: Pipeline, reference: Reference, layout: AdapterLayout): Promise<Trainer> {
  const { session, model } = pipeline;
  const [, , height, width] = reference.shape('latents') as [number, number, number, number];
  const text = textStatesOf(reference, 'pooled');
  const conditions = await prepareConditions(session, model, text, timeIdsOf(reference));
  const trainer = await createTrainer(session, {
    unet: model.unet,
    sizes: { batch: 1, height, width, contextTokens: text.tokens, compute: session.compute },
    adapters: adaptersOf(layout, false),
    draws: 'given',
    accumulate: 1,
    optimizer: optimizerOf(reference),
    record: recordingOf({ info: { kind: targetDevice(session.target), name: '' }, compute: session.compute }, 1),
  });
  trainer.feed(conditions.feeds);
  return trainer;
}

/** One step, again where it was skipped as the scale of a float16 loss was too large. Its loss. */
async function applyStep(trainer: Trainer, step: number, feeds: Feeds): Promise<number> {
  const { loss } = await trainer.step(step, [feeds]);
  const record = trainer.queue?.take();
  if (record && record.failed !== null) throw new Error(`step ${step} failed: its loss was ${loss}`);
  return record?.steps.some(({ skipped }) => skipped) ? applyStep(trainer, step, feeds) : loss;
}

/** The ranks of the file must be those of its schedule, unless the adapter is not masked at all. */
function checkRanks(reference: Reference, T: number, checks: Checks): number[] {
  const ranks = [...reference.ints('ranks')];
  const maxRank = reference.number('max_rank');
  if (ranks.every((r) => r === maxRank)) return ranks;
  const schedule = { T, maxRank, minRank: reference.number('min_rank'), alpha: reference.number('alpha') };
  const ours = [...reference.ints('timesteps')].map((t) => activeRank(schedule, t));
  checks.holds('active ranks', ours.join() === ranks.join(), `${ranks.length} steps`);
  return ranks;
}

/** Final values relative to the distance that the reference moved them. */
function checkFinal(reference: Reference, ours: Map<string, Float32Array>, checks: Checks): void {
  const compared = keysBelow(reference, 'final.').map((key) => ({
    name: key,
    ours: ours.get(key) ?? [],
    theirs: reference.floats(`final.${key}`),
    from: reference.floats(`init.${key}`),
  }));
  checks.each('final values, each', compared, BOUNDS.trained);
  const moved = compared.map(({ ours, theirs, from }) => ({
    difference: squares(ours, theirs).difference,
    size: squares(from, theirs).difference,
  }));
  checks.bounded('final values over all', overAll(moved), BOUNDS.trainedAll);
}

/** All optimizer steps of the file, from its start, with its draws: every loss, and the values at the end. */
export async function checkTrain(pipeline: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const { session, model } = pipeline;
  const type = reference.metadata('prediction_type');
  const schedule = noiseSchedule({ ...model.scheduler, ...(type === undefined ? {} : { prediction_type: type }) });
  const ranks = checkRanks(reference, schedule.trainTimesteps, checks);
  const layout = await loadAdapter(session, reference, 'init.');
  const trainer = await trainerFor(pipeline, reference, layout);
  try {
    const [, c, h, w] = reference.shape('latents') as [number, number, number, number];
    const latentsAt = (key: string, i: number): Float32Array =>
      toChannelsLast(row(reference.floats(key), reference.shape(key), i), [1, c, h, w]);
    const theirs = reference.floats('loss');
    const losses: number[] = [];
    for (const [i, t] of [...reference.ints('timesteps')].entries()) {
      const feeds = {
        ...timeFeeds(schedule, [t], [ranks[i]!]),
        latents: latentsAt('latents', i),
        noise: latentsAt('noise', i),
      };
      losses.push(await applyStep(trainer, i + 1, feeds));
    }
    const compared = losses.map((loss, i) => ({ name: `step ${i + 1}`, ours: [loss], theirs: [theirs[i]!] }));
    checks.each('losses', compared, BOUNDS.loss);
    checks.holds('steps', losses.length === theirs.length, `${losses.length}`);
    checkFinal(reference, await valuesByKey(session, layout, 'params'), checks);
  } finally {
    trainer.dispose();
  }
}
