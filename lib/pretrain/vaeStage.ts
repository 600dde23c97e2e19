import { join } from 'node:path';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { latentDistribution } from '../models/autoencoderKl.js';
import { loadProgram, readResult, runOnce, type Session, writeAll } from '../pipeline/session.js';
import { latentKeys } from './draws.js';
import type { Config } from './miniModel.js';
import { splitPictures, writePictureGrid } from './pictureGrid.js';
import { type PictureSource, pictureBatch } from './pictures.js';
import type { Stage } from './runStage.js';
import type { PretrainSettings } from './settings.js';
import { edgeKernel, vaeLayout, vaePreviewGraph, vaeStepGraph } from './vaeGraphs.js';

/** Pictures of previews and measurements come from far behind all that are learned from. */
export const UNSEEN: number = 2 ** 40;
const SHOWN = 8;

/** Trains the autoencoder: step s learns from pictures (s − 1) · batch and on. */
export function vaeStage(config: Config, settings: PretrainSettings, pictures: PictureSource): Stage {
  const { seed, side, vae } = settings;
  const layout = vaeLayout(config);
  return {
    name: 'vae',
    seed,
    settings: vae,
    layout,
    graph: vaeStepGraph(config, layout, { batch: vae.batch, side }, vae.loss),
    parts: ['absolute', 'divergence'],
    components: [],
    constants: { edgeKernel: edgeKernel() },
    feeds: (step) => {
      const first = (step - 1) * vae.batch;
      const { image, subject } = pictureBatch(pictures, first, vae.batch, 0);
      const weight = step > vae.subject.after ? vae.subject.weight : 0;
      return {
        image,
        extraWeight: subject.map((share) => share * weight),
        latentKey: latentKeys(seed, first, vae.batch),
      };
    },
    preview: async (session, dir, step) => {
      const { image } = pictureBatch(pictures, UNSEEN, SHOWN, 0);
      const graph = vaePreviewGraph(config, layout, { batch: SHOWN, side });
      const again = (await runOnce(session, graph, [], { image })).get('reconstruction')!;
      const all = [...splitPictures(image, SHOWN), ...splitPictures(again, SHOWN)];
      await writePictureGrid(join(dir, 'pictures', `vae-${String(step).padStart(6, '0')}.png`), all, side, {
        columns: SHOWN,
      });
      return {};
    },
  };
}

/** What the averaged autoencoder does to pictures that it never saw. */
export interface VaeMeasures {
  /** 1 / standard deviation of all latents: what `scaling_factor` must be. */
  readonly scalingFactor: number;
  /** Peak signal-to-noise ratio of reconstructions, of pictures in 0…1, dB. */
  readonly psnr: number;
  /** Mean |picture − reconstruction| in levels of 255. */
  readonly meanLevels: number;
}

/** Measures on `count` unseen pictures. The state buffer `ema` holds the weights. */
export async function measureVae(
  session: Session,
  config: Config,
  settings: PretrainSettings,
  pictures: PictureSource,
  count = 512,
): Promise<VaeMeasures> {
  const batch = Math.min(32, count);
  const { latentChannels } = readAutoencoderConfig(config);
  const program = await loadProgram(session, vaePreviewGraph(config, vaeLayout(config), { ...settings, batch }), []);
  const sums = { latents: 0, first: 0, second: 0, pixels: 0, squared: 0, absolute: 0 };
  try {
    for (let at = 0; at < count; at += batch) {
      const { image } = pictureBatch(pictures, UNSEEN + at, batch, 0);
      writeAll(program, { image });
      await program.run();
      const { mean, logvar } = latentDistribution(readResult(program, 'moments'), latentChannels);
      mean.forEach((m, i) => {
        sums.first += m;
        sums.second += m * m + Math.exp(logvar[i]!);
      });
      sums.latents += mean.length;
      readResult(program, 'reconstruction').forEach((v, i) => {
        const difference = Math.min(1, Math.max(-1, v)) - image[i]!;
        sums.squared += difference * difference;
        sums.absolute += Math.abs(difference);
      });
      sums.pixels += image.length;
    }
  } finally {
    program.dispose();
  }
  const variance = sums.second / sums.latents - (sums.first / sums.latents) ** 2;
  return {
    scalingFactor: 1 / Math.sqrt(variance),
    psnr: 10 * Math.log10(4 / (sums.squared / sums.pixels)),
    meanLevels: (127.5 * sums.absolute) / sums.pixels,
  };
}
