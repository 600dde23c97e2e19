import { join } from 'node:path';
import type { Component } from '../io/modelFolder.js';
import type { Tokenizer } from '../io/tokenizer.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { loadProgram, readResult, runOnce, type Session, writeAll } from '../pipeline/session.js';
import { deriveSeed, standardNormals } from '../random/philox.js';
import { createSampler } from '../schedulers/createSampler.js';
import { type NoiseSchedule, noiseSchedule } from '../schedulers/noiseSchedule.js';
import { adamwHyper } from '../train/trainer.js';
import { captionWorth } from './captionWorth.js';
import { droppedCaptions, latentKeys, noiseFeeds, SEED_USES } from './draws.js';
import { emphasis, silhouettes, windowAt } from './emphasis.js';
import type { ModelConfigs } from './miniModel.js';
import { splitPictures, writePictureGrid } from './pictureGrid.js';
import { type PictureSource, pictureBatch } from './pictures.js';
import type { Stage } from './runStage.js';
import { learningRateAt, type PretrainSettings } from './settings.js';
import { tokenRows } from './tokenRows.js';
import { averagedUnetGraph, decoderGraph, statesGraph, unetLayout, unetStepGraph } from './unetGraphs.js';

/** What the stage needs beside configs and settings. */
export interface UnetStageParts {
  /** The finished autoencoder, its scaling factor in its config. */
  readonly vae: Component;
  readonly tokenizer: Tokenizer;
  readonly pictures: PictureSource;
  /** What the text encoder begins with, by the names of its tensors in the layout. */
  readonly text: ReadonlyMap<string, Float32Array>;
  /** Prompts of the previews. */
  readonly prompts: readonly string[];
}

const PREVIEW = { steps: 25, guidance: 5, columns: 4 };

/** Trains UNet and text encoder on latents of the frozen autoencoder. */
export function unetStage(configs: ModelConfigs, settings: PretrainSettings, parts: UnetStageParts): Stage {
  const { side, unet } = settings;
  const { vae, tokenizer, pictures, prompts, text } = parts;
  const { pictures: count, draws, captionDropout, textRate, timeExponent } = unet;
  const seed = deriveSeed(settings.seed, 1);
  const layout = unetLayout(configs);
  const schedule = noiseSchedule(configs.scheduler);
  const n = count * draws;
  const { downscale, latentChannels } = readAutoencoderConfig(vae.config);
  const sizes = { n: count, side, downscale, channels: latentChannels };
  return {
    name: 'unet',
    seed,
    settings: unet,
    layout,
    graph: unetStepGraph(configs, layout, vae, { pictures: count, draws, side }),
    parts: ['silhouette'],
    components: [vae],
    constants: {},
    given: text,
    feeds: (step) => {
      const first = (step - 1) * count;
      const { image, subject, captions } = pictureBatch(pictures, first, count, draws);
      const share = Math.sqrt(windowAt(unet.silhouette, step)?.weight ?? 0);
      const dropped = droppedCaptions(seed, step, n, captionDropout);
      const texts = captions.map((caption, i) => (dropped[i] ? '' : caption));
      return {
        image,
        emphasis: emphasis(subject, windowAt(unet.subject, step), sizes),
        silhouette: silhouettes(subject, sizes),
        silhouetteShare: new Float32Array(n).fill(share),
        silhouetteRest: new Float32Array(n).fill(1 - share),
        latentKey: latentKeys(seed, first, count),
        inputIds: tokenRows(tokenizer, texts),
        textHyper: adamwHyper({ ...unet, learningRate: textRate * learningRateAt(unet, step) }, step),
        ...noiseFeeds(seed, schedule, step, n, timeExponent),
      };
    },
    preview: async (session, dir, step) => {
      const path = join(dir, 'pictures', `unet-${String(step).padStart(6, '0')}.png`);
      const sampled = await samplePreview(session, configs, { ...parts, prompts, schedule, side, seed });
      await writePictureGrid(path, sampled, side, { columns: PREVIEW.columns });
      const tokens = (texts: readonly string[]): Int32Array => tokenRows(tokenizer, texts);
      const worth = { vae, pictures, schedule, side, seed: deriveSeed(seed, SEED_USES.preview), tokens };
      return { captions: await captionWorth(session, configs, layout, worth) };
    },
  };
}

interface PreviewParts extends UnetStageParts {
  readonly schedule: NoiseSchedule;
  readonly side: number;
  readonly seed: number;
}

/** A picture for each prompt from the averaged weights in `ema`: Euler with guidance, always from the same noise. */
async function samplePreview(session: Session, configs: ModelConfigs, parts: PreviewParts): Promise<Float32Array[]> {
  const { vae, tokenizer, prompts, schedule } = parts;
  const layout = unetLayout(configs);
  const { downscale, latentChannels, scalingFactor } = readAutoencoderConfig(vae.config);
  const side = parts.side / downscale;
  const n = prompts.length;
  const inputIds = tokenRows(tokenizer, [...prompts.map(() => ''), ...prompts]);
  const states = (await runOnce(session, statesGraph(configs, layout, 2 * n), [], { inputIds })).get('states')!;
  const sampler = createSampler('euler', schedule, { steps: PREVIEW.steps });
  const size = n * side * side * latentChannels;
  const noise = standardNormals(deriveSeed(parts.seed, SEED_USES.preview), 0, size);
  let x: Float32Array = noise.map((v) => v * sampler.initNoiseSigma);
  const program = await loadProgram(session, averagedUnetGraph(configs, layout, 2 * n, side), []);
  try {
    writeAll(program, { encoderHiddenStates: states });
    for (const [i, t] of sampler.timesteps.entries()) {
      const scaled = sampler.scaleModelInput(x, i);
      const sample = new Float32Array(2 * size);
      sample.set(scaled);
      sample.set(scaled, size);
      writeAll(program, { sample, timesteps: new Float32Array(2 * n).fill(t) });
      await program.run();
      const out = readResult(program, 'prediction');
      const guided = out.subarray(0, size).map((without, k) => without + PREVIEW.guidance * (out[size + k]! - without));
      x = sampler.step(guided, i, x);
    }
  } finally {
    program.dispose();
  }
  const latents = x.map((v) => v / scalingFactor);
  const decoded = await runOnce(session, decoderGraph(vae, n, side), [vae], { latents });
  return splitPictures(decoded.get('image')!, n);
}
