import { isMasked } from '../adapters/adapterSpec.js';
import { activeRank } from '../adapters/rankSchedule.js';
import { decodePictures, drawLatents } from '../generate/pictures.js';
import type { GenerationConditions } from '../generate/prompts.js';
import { samplerFor } from '../generate/sample.js';
import { writePng } from '../io/image.js';
import { deriveSeed } from '../random/philox.js';
import { SEED_USES } from './draws.js';
import { fillPrompt } from './options.js';
import type { PreparedRun } from './prepareRun.js';
import { ensureParent } from './runFolder.js';
import type { RunControl } from './trainingRun.js';

/** The defaults of `generate`. */
const SAMPLING = { sampler: 'euler', steps: 25, karras: false } as const;
export const SAMPLE_GUIDANCE = 5;

/** Thrown within a picture that is not to be finished. */
class SamplingStopped extends Error {}

/** Makes one picture at the training resolution; the same seed at every step, so that pictures show what was learnt. */
async function samplePicture(
  { options, model, session, layout, noise, ranks, side }: PreparedRun,
  control: RunControl,
  conditions: GenerationConditions,
  seed: number,
): Promise<Uint8Array> {
  const size = { width: side, height: side };
  const latents = await drawLatents(session, {
    ...size,
    model,
    conditions,
    guidance: SAMPLE_GUIDANCE,
    adapter: { layout, strength: 1 },
    activeRank: (t) => (isMasked(options.variant) ? activeRank(ranks, t) : ranks.maxRank),
    sampler: samplerFor(noise, SAMPLING),
    seeds: [seed],
    signal: control.signal,
    onStep: () => {
      if (control.stopRequested) throw new SamplingStopped();
    },
  });
  const [pixels] = await decodePictures(session, model, latents, size, control.signal);
  return pixels!;
}

async function samplePrompt(run: PreparedRun, control: RunControl, step: number, i: number): Promise<void> {
  const { options, folder, side } = run;
  const prompt = fillPrompt(options.sample!.prompts[i]!, options.token, options.className);
  const seed = deriveSeed(deriveSeed(options.seed, SEED_USES.samples), i);
  const pixels = await samplePicture(run, control, run.sampleConditions[i]!, seed);
  control.signal.throwIfAborted();
  const path = folder.samplePath(step, i);
  ensureParent(path);
  const parameters = { ...SAMPLING, prompt, guidance: SAMPLE_GUIDANCE, seed, step, width: side, height: side };
  await writePng(path, pixels, side, side, { Software: 'tlora', parameters: JSON.stringify(parameters) });
  control.emit({ type: 'sample', step, prompt, path });
}

/**
 * Makes one picture of each prompt of `sample` with the adapters as they are now, in the run's `samples`. A run that is to stop
 * leaves the rest of them out.
 */
export async function samplePictures(run: PreparedRun, control: RunControl, step: number): Promise<void> {
  const total = run.sampleConditions.length;
  try {
    for (let done = 0; done < total && !control.stopRequested; done++) {
      control.emit({ type: 'phase', phase: 'sample', done, total });
      await samplePrompt(run, control, step, done);
    }
  } catch (error) {
    if (!(error instanceof SamplingStopped)) throw error;
  }
}
