import { basename, dirname, join } from 'node:path';
import { activeRank } from '../../lib/adapters/rankSchedule.js';
import { createDenoiser } from '../../lib/generate/denoiser.js';
import { generationConditions } from '../../lib/generate/prompts.js';
import { sampleLatents, samplerFor } from '../../lib/generate/sample.js';
import { toChannelsLast } from '../../lib/pipeline/channelsLast.js';
import { decodeLatents } from '../../lib/pipeline/pictures.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { loadAdapter } from './adapterValues.js';
import { BOUNDS } from './bounds.js';
import type { Checks, Compared } from './checks.js';
import type { Pipeline } from './pipeline.js';
import { openReference, type Reference, row, sides } from './reference.js';

/** Sampling with the adapter that the reference trained: sigmas, latents after each step, the decoded picture. */
export async function checkSample(pipeline: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const { session, model } = pipeline;
  const trained = openReference(join(dirname(reference.path), basename(reference.path).replace(/^sample/, 'train')));
  const layout = await loadAdapter(session, trained, 'final.');
  const schedule = noiseSchedule(model.scheduler);
  const ranks = {
    T: schedule.trainTimesteps,
    maxRank: reference.number('max_rank'),
    minRank: reference.number('min_rank'),
    alpha: reference.number('alpha'),
  };
  const [, channels, height, width] = sides(reference.shape('noise'));
  const [, , pictureHeight, pictureWidth] = sides(reference.shape('image'));
  const guidance = reference.number('guidance_scale');
  const { conditions, contextTokens } = await generationConditions(session, model, {
    prompt: reference.text('prompt'),
    negativePrompt: reference.text('negative_prompt'),
    guidance,
    width: pictureWidth,
    height: pictureHeight,
  });
  const adapter = { layout, strength: 1 };
  const denoiser = await createDenoiser(session, {
    unet: model.unet,
    conditions,
    height,
    width,
    contextTokens,
    adapter,
  });
  try {
    const sampler = samplerFor(schedule, { sampler: 'euler', steps: reference.number('steps'), karras: false });
    const compared: Compared[] = [
      { name: 'timesteps', ours: sampler.timesteps, theirs: reference.floats('timesteps') },
      { name: 'sigmas', ours: sampler.sigmas, theirs: reference.floats('sigmas') },
    ];
    checks.each('timesteps, sigmas', compared, BOUNDS.scheduler);
    const steps: Compared[] = [];
    const [states, shape] = [reference.floats('latents'), reference.shape('latents')];
    const latents = await sampleLatents(session, {
      denoiser,
      sampler,
      guidance,
      noise: reference.channelsLast('noise'),
      activeRank: (t) => activeRank(ranks, t),
      onStep: (step, x) => {
        const theirs = toChannelsLast(row(states, shape, step - 1), [1, channels, height, width]);
        steps.push({ name: `step ${step}`, ours: x, theirs });
      },
    });
    checks.holds('steps', steps.length === shape[0], `${steps.length}`);
    checks.each('latents after each step', steps, BOUNDS.sample);
    const { image } = await decodeLatents(session, model.vae, latents, height, width);
    checks.each('image', [{ name: 'image', ours: image, theirs: reference.channelsLast('image') }], BOUNDS.sample);
  } finally {
    denoiser.dispose();
  }
}
