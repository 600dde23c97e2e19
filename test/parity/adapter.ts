import { join } from 'node:path';
import type { AdapterLayout } from '../../lib/adapters/adapterLayout.js';
import { predictionGraph } from '../../lib/generate/denoiser.js';
import { type Conditions, prepareConditions, selectConditions } from '../../lib/pipeline/conditions.js';
import { type Feeds, loadProgram, readResult, runOnce, writeAll } from '../../lib/pipeline/session.js';
import type { UnetSizes } from '../../lib/pipeline/unetGraph.js';
import { adaptersOf } from '../../lib/train/forecast.js';
import { stepGraph } from '../../lib/train/stepGraph.js';
import { keysBelow, loadAdapter, valuesByKey } from './adapterValues.js';
import { BOUNDS } from './bounds.js';
import { type Checks, overAll, squares } from './checks.js';
import type { Pipeline } from './pipeline.js';
import { openReference, type Reference } from './reference.js';
import { firstLatents, textStatesOf, timeIdsOf } from './unet.js';

/** One pass of the UNet. */
export interface Pass {
  readonly sizes: UnetSizes;
  readonly sample: Float32Array;
  readonly timestep: number;
  readonly conditions: Conditions;
}

/** The pass on the first sample of a reference file with the UNet's inputs. */
export async function passOf({ session, model }: Pipeline, unet: Reference, timestep: number): Promise<Pass> {
  const text = textStatesOf(unet, 'text_embeds');
  const all = await prepareConditions(session, model, text, timeIdsOf(unet));
  const { shape, data } = firstLatents(unet, 'sample', 1);
  const { compute } = session;
  const sizes = { batch: 1, height: shape[2], width: shape[3], contextTokens: text.tokens, compute };
  return { sizes, sample: data, timestep, conditions: selectConditions(all, [0]) };
}

/** The prediction as sampling computes it; without a layout, that of the model alone. */
export async function predict(
  { session, model: { unet } }: Pipeline,
  { sizes, sample, timestep, conditions }: Pass,
  layout?: AdapterLayout,
  rank = 0,
  strength = 1,
): Promise<Float32Array> {
  const adapter = layout && { layout, strength };
  const feeds = {
    sample,
    timesteps: Float32Array.of(timestep),
    ...conditions.feeds,
    ...(layout && { activeRank: Int32Array.of(rank) }),
  };
  return (await runOnce(session, predictionGraph(unet, { ...sizes, adapter }), [unet], feeds)).get('prediction')!;
}

/** What the loss is multiplied by for its gradients, in float16 alone: the scale that a run begins with. */
function lossScale({ session }: Pipeline): number {
  return session.compute === 'f16' ? 2 ** 16 : 1;
}

/** The training step's inputs for which x_t is `sample` and the loss is that against `target`. */
function lossFeeds({ sample, timestep, conditions }: Pass, target: Float32Array, scale: number): Feeds {
  const one = Float32Array.of(1);
  const zero = Float32Array.of(0);
  return {
    latents: sample,
    noise: target,
    signal: one,
    noiseWeight: zero,
    targetSignal: zero,
    targetNoise: one,
    lossSeed: Float32Array.of(scale),
    timesteps: Float32Array.of(timestep),
    ...conditions.feeds,
  };
}

/** The active ranks of a file: the numbers r of its keys `r<r>.…`. */
function ranksOf(reference: Reference): number[] {
  const found = reference.keys.flatMap((key) => /^r(\d+)\./.exec(key)?.[1] ?? []);
  return [...new Set(found)].map(Number).sort((a, b) => a - b);
}

/** Gradients of one rank: each tensor, all together, and exact zeros behind the mask. */
async function checkGradients(
  pipeline: Pipeline,
  reference: Reference,
  layout: AdapterLayout,
  rank: number,
  checks: Checks,
): Promise<void> {
  const keys = keysBelow(reference, `r${rank}.grad.`);
  if (keys.length === 0) return;
  const ours = await valuesByKey(pipeline.session, layout, 'grads');
  const scale = lossScale(pipeline);
  const compared = keys.map((key) => ({
    name: key,
    ours: (ours.get(key) ?? new Float32Array()).map((v) => v / scale),
    theirs: reference.floats(`r${rank}.grad.${key}`),
  }));
  checks.each(`r${rank} gradients, each`, compared, BOUNDS.gradient);
  const sums = compared.map((c) => squares(c.ours, c.theirs));
  checks.bounded(`r${rank} gradients over all`, overAll(sums), BOUNDS.gradients);
  const zeros = compared.flatMap((c) => [...c.theirs].flatMap((v, i) => (v === 0 ? [c.ours[i]] : [])));
  const wrong = zeros.filter((v) => v !== 0).length;
  checks.bounded(
    `r${rank} gradients that are 0 (${zeros.length} values)`,
    wrong,
    BOUNDS.exact,
    'error: how many are not',
  );
}

/** The start, then outputs, losses and gradients of moved values at several active ranks. */
export async function checkAdapter(pipeline: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const { session, model } = pipeline;
  // All numbers of the file belong to the first sample of the UNet's file at the file's timestep.
  const unet = openReference(join(pipeline.expected, 'unet.safetensors'));
  const pass = await passOf(pipeline, unet, reference.number('timestep'));
  const startLayout = await loadAdapter(session, reference, 'init.');
  const plain = await predict(pipeline, pass);
  const started = await predict(pipeline, pass, startLayout, reference.number('rank'));
  checks.each('the start changes nothing', [{ name: 'prediction', ours: started, theirs: plain }], BOUNDS.exact);
  const layout = await loadAdapter(session, reference, 'param.');
  const options = { unet: model.unet, sizes: pass.sizes, adapters: adaptersOf(layout, false) };
  const graph = stepGraph({ ...options, draws: 'given', until: 'gradients' });
  const program = await loadProgram(session, graph, [model.unet]);
  try {
    writeAll(program, lossFeeds(pass, reference.channelsLast('target'), lossScale(pipeline)));
    for (const rank of ranksOf(reference)) {
      const out = `r${rank}.out`;
      const ours = await predict(pipeline, pass, layout, rank);
      checks.each(out, [{ name: out, ours, theirs: reference.channelsLast(out) }], BOUNDS.adapterOutput);
      program.write('activeRank', Int32Array.of(rank));
      await program.run();
      const loss = [{ name: 'loss', ours: readResult(program, 'loss'), theirs: reference.floats(`r${rank}.loss`) }];
      checks.each(`r${rank}.loss`, loss, BOUNDS.loss, `${out} (1)`);
      await checkGradients(pipeline, reference, layout, rank, checks);
    }
  } finally {
    program.dispose();
  }
}
