import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../lib/generate/generate.js';
import { openModel } from '../../lib/pipeline/openModel.js';
import { openSession } from '../../lib/pipeline/session.js';
import { SEED_USES } from '../../lib/pretrain/draws.js';
import { openWritten, readAveraged } from '../../lib/pretrain/exportModel.js';
import { writeInitialValues } from '../../lib/pretrain/initialValues.js';
import { type PretrainOptions, pretrainText, pretrainUnet, pretrainVae } from '../../lib/pretrain/pretrain.js';
import { PROBED, probeStage, readProbe } from '../../lib/pretrain/probe.js';
import { runStage, statePath } from '../../lib/pretrain/runStage.js';
import { readLog } from '../../lib/pretrain/stageLog.js';
import { textLayout } from '../../lib/pretrain/textStage.js';
import { unetLayout } from '../../lib/pretrain/unetGraphs.js';
import { deriveSeed } from '../../lib/random/philox.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { tinyPlan } from '../pretrain/tinyPlan.js';

const root = mkdtempSync(join(tmpdir(), 'tlora-pretrain-'));
const dirOf = (name: string): string => join(root, name);
const plan = tinyPlan();
const every = { log: 2, preview: 4, save: 3 };

function options(name: string, more: Partial<PretrainOptions> = {}): PretrainOptions {
  return { dir: dirOf(name), threads: 2, every, ...more };
}

const digest = (...path: string[]): string =>
  createHash('sha256')
    .update(readFileSync(join(root, ...path)))
    .digest('hex');

const losses = (name: string, stage: string): [number, number][] =>
  readLog(join(dirOf(name), `${stage}-log.jsonl`)).map(({ step, loss }) => [step, loss]);

beforeAll(async () => {
  await pretrainVae(plan, options('whole'));
  await pretrainText(plan, options('whole'));
  await pretrainUnet(plan, options('whole'));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('pretraining', () => {
  it('gives the same bits in slices as in one piece', async () => {
    const slices = dirOf('slices');
    for (const untilStep of [1, 3, 4]) {
      expect(await pretrainVae(plan, options('slices', { untilStep }))).toEqual({ step: untilStep, finished: false });
      expect(existsSync(join(slices, 'model'))).toBe(false);
    }
    expect(await pretrainVae(plan, options('slices'))).toEqual({ step: 6, finished: true });
    expect(digest('slices', 'vae-state.safetensors')).toBe(digest('whole', 'vae-state.safetensors'));
    for (const untilStep of [2, 6]) await pretrainText(plan, options('slices', { untilStep }));
    expect(digest('slices', 'text-state.safetensors')).toBe(digest('whole', 'text-state.safetensors'));
    for (const untilStep of [2, 5, 6]) await pretrainUnet(plan, options('slices', { untilStep }));
    expect(digest('slices', 'unet-state.safetensors')).toBe(digest('whole', 'unet-state.safetensors'));
    expect(digest('slices', 'model', 'unet', 'diffusion_pytorch_model.safetensors')).toBe(
      digest('whole', 'model', 'unet', 'diffusion_pytorch_model.safetensors'),
    );
  });

  it('goes on from the last state that was saved, and its log with it', async () => {
    cpSync(dirOf('whole'), dirOf('cut'), { recursive: true });
    const cut = dirOf('cut');
    rmSync(join(cut, 'vae-state.safetensors'));
    await pretrainVae(plan, options('cut', { untilStep: 3 })); // as if the run had been stopped between saving and step 6
    expect(losses('cut', 'vae')).toEqual(losses('whole', 'vae').slice(0, 1));
    await pretrainVae(plan, options('cut'));
    expect(digest('cut', 'vae-state.safetensors')).toBe(digest('whole', 'vae-state.safetensors'));
  });

  it('learns: losses fall', async () => {
    const longer = {
      ...plan,
      settings: {
        ...plan.settings,
        vae: {
          ...plan.settings.vae,
          steps: 60,
          learningRate: 4e-3,
          again: { after: 40, learningRate: 1e-3 },
          subject: { after: 60, weight: 2 },
        },
      },
    };
    await pretrainVae(longer, options('longer', { every: { log: 5, preview: 1000, save: 1000 } }));
    const all = losses('longer', 'vae').map(([, loss]) => loss);
    expect(all.at(-1)).toBeLessThan(0.6 * all[0]!);
  });

  it('teaches the text encoder to say what captions state', async () => {
    const text = { ...plan.settings.text, steps: 60, batch: 12, learningRate: 1e-2 };
    const longer = { ...plan, settings: { ...plan.settings, text } };
    await pretrainText(longer, options('reads', { every: { log: 30, preview: 60, save: 60 } }));
    expect(readLog(join(dirOf('reads'), 'text-log.jsonl')).at(-1)!.right).toBe(1);
  });

  it('draws pictures and curves on the way, and says what captions are worth', () => {
    const worth = readLog(join(dirOf('whole'), 'unet-log.jsonl')).map(({ captions }) => captions);
    expect(worth).toEqual([undefined, expect.any(Number), undefined]);
    expect(Math.abs(worth[1]!)).toBeLessThan(1);
    expect(worth[1]).not.toBe(0);
    for (const name of ['pictures/vae-000004.png', 'pictures/unet-000004.png', 'vae-loss.svg', 'unet-loss.svg'])
      expect(existsSync(join(dirOf('whole'), name)), name).toBe(true);
  });

  it('makes a model that opens and generates', async () => {
    const model = join(dirOf('whole'), 'model');
    expect(openModel(model).unetParameters).toBeGreaterThan(10_000);
    const outputDir = join(root, 'generated');
    const { pictures } = await generate({ model, prompt: 'a red square', steps: 2, threads: 2, outputDir });
    expect(pictures).toHaveLength(1);
    expect(existsSync(join(outputDir, '0.png'))).toBe(true);
  });

  it('trains the text encoder at a rate of its own', async () => {
    cpSync(dirOf('whole'), dirOf('frozen'), { recursive: true });
    rmSync(join(dirOf('frozen'), 'unet-state.safetensors'));
    const unet = { ...plan.settings.unet, textRate: 0 };
    await pretrainUnet({ ...plan, settings: { ...plan.settings, unet } }, options('frozen', { untilStep: 3 }));
    const layout = unetLayout(plan.configs);
    const values = readAveraged(statePath(dirOf('frozen'), 'unet'), layout);
    const moved: Record<string, boolean[]> = { text_encoder: [], unet: [], silhouette: [] };
    const read = textLayout(plan.configs, plan.captions);
    const ofText = readAveraged(statePath(dirOf('whole'), 'text'), read);
    writeInitialValues(layout, deriveSeed(deriveSeed(plan.settings.seed, 1), SEED_USES.weights), (offset, random) => {
      const [name] = [...layout.entries].find(([, entry]) => entry.offset === offset)!;
      const given = read.entries.get(name);
      const first = given ? ofText.subarray(given.offset, given.offset + given.count) : random;
      const now = values.subarray(offset, offset + first.length);
      moved[name.slice(0, name.indexOf('/'))]!.push(first.some((value, i) => Math.abs(value - now[i]!) > 1e-6));
    });
    expect(moved.text_encoder).not.toContain(true);
    expect(moved.unet).not.toContain(false);
    expect(moved.silhouette).toEqual([true, true]); // from step 3 on
  });

  it('stops at a signal and at a time', async () => {
    const signal = AbortSignal.abort();
    expect(await pretrainVae(plan, options('stopped', { signal }))).toEqual({ step: 0, finished: false });
    expect(await pretrainVae(plan, options('late', { untilTime: Date.now() - 1 }))).toEqual({
      step: 0,
      finished: false,
    });
  });

  it('probes what noisy latents show', async () => {
    const vae = openWritten(join(dirOf('whole'), 'model'), 'vae');
    const schedule = noiseSchedule(plan.configs.scheduler);
    const sizes = { pictures: 2, draws: 2, side: 64 };
    const settings = { ...plan.settings.vae, seed: 1, steps: 3, sizes, tested: 4 };
    const session = openSession(2);
    try {
      await runStage(session, probeStage(vae, schedule, settings), { dir: dirOf('probe') });
      const rows = await readProbe(session, vae, schedule, settings, [0, 999]);
      expect(rows.map(({ t }) => t)).toEqual([0, 999]);
      expect(rows[0]!.logSnr).toBeGreaterThan(rows[1]!.logSnr);
      for (const row of rows) for (const name of PROBED) expect([0, 0.25, 0.5, 0.75, 1]).toContain(row[name]);
    } finally {
      session.engine.dispose();
    }
  });

  it('wants the autoencoder and the text encoder before the UNet', async () => {
    await expect(pretrainUnet(plan, options('none'))).rejects.toThrow('expected the finished autoencoder');
    cpSync(dirOf('whole'), dirOf('unread'), { recursive: true });
    rmSync(join(dirOf('unread'), 'text-state.safetensors'));
    await expect(pretrainUnet(plan, options('unread'))).rejects.toThrow('expected the finished text encoder');
  });
});
