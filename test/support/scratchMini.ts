import type { FlatLayout } from '../../lib/params/flatLayout.js';
import { writeComponent, writePipelineFiles } from '../../lib/pretrain/exportModel.js';
import { initialValues } from '../../lib/pretrain/initialValues.js';
import { miniPlan } from '../../lib/pretrain/pretrain.js';
import { MINI_SETTINGS } from '../../lib/pretrain/settings.js';
import { unetLayout } from '../../lib/pretrain/unetGraphs.js';
import { vaeStage } from '../../lib/pretrain/vaeStage.js';
import { standardNormals } from '../../lib/random/philox.js';

/** Random values of a layout; what training would start at zero is random too, so that every gradient is alive. */
function randomValues(layout: FlatLayout): Float32Array {
  const all = new Float32Array(layout.total);
  [...layout.entries].forEach(([name, entry], i) => {
    const own = initialValues(name, entry, 1, i);
    const inputs = entry.shape.slice(1).reduce((a, b) => a * b, 1);
    const isZero = entry.shape.length > 1 && own.every((value) => value === 0);
    all.set(isZero ? standardNormals(2, i, entry.count).map((v) => v / Math.sqrt(inputs)) : own, entry.offset);
  });
  return all;
}

/** Writes a model of the mini model's very architecture, with random weights. Its pictures mean nothing. */
export async function writeScratchMini(dir: string): Promise<void> {
  const { configs, settings, pictures, tokenizer } = miniPlan(MINI_SETTINGS);
  const vae = vaeStage(configs.vae, settings, pictures).layout;
  const unet = unetLayout(configs);
  await writeComponent(dir, 'vae', configs.vae, vae, randomValues(vae));
  const values = randomValues(unet);
  await writeComponent(dir, 'unet', configs.unet, unet, values);
  await writeComponent(dir, 'text_encoder', configs.text_encoder, unet, values);
  await writePipelineFiles(dir, configs, tokenizer);
}
