import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openAdapter } from '../../lib/adapters/openAdapter.js';
import { readPngText } from '../../lib/io/image.js';
import type { TrainEvent } from '../../lib/train/events.js';
import { eventsOf, filesIn, logOf, tinyTraining, valuesOf } from './tinyTraining.js';

const tiny = tinyTraining();

function only<T extends TrainEvent['type']>(events: TrainEvent[], type: T): Extract<TrainEvent, { type: T }>[] {
  return events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type);
}

describe('saveEvery', () => {
  it('keeps an adapter of every so many steps, which are those of shorter runs', async () => {
    const events = await eventsOf(tiny.run('checkpoints', { steps: 5, saveEvery: 2 }));
    const path = (step: number): string => tiny.at('checkpoints', 'checkpoints', `adapter-00000${step}.safetensors`);
    expect(only(events, 'checkpoint')).toEqual([
      { type: 'checkpoint', step: 2, path: path(2) },
      { type: 'checkpoint', step: 4, path: path(4) },
    ]);
    await tiny.run('four', { steps: 4 });
    const shorter = openAdapter(tiny.at('four', 'adapter.safetensors'));
    const kept = openAdapter(path(4));
    expect(kept.info).toEqual(shorter.info);
    const name = `${kept.layers[0]!.path}.lora_up.weight`;
    expect(kept.change(name)).toEqual(shorter.change(name));
    expect(openAdapter(tiny.at('checkpoints', 'adapter.safetensors')).info?.training.steps).toBe(5);
  });
});

describe('sample', () => {
  it('makes pictures without changing the training', async () => {
    const sample = { every: 2, prompts: ['a {0} riding a bike', 'a cat'] };
    const events = await eventsOf(tiny.run('with', { steps: 4, sample }));
    await tiny.run('without', { steps: 4 });
    expect(valuesOf(tiny.at('with'))).toEqual(valuesOf(tiny.at('without')));
    expect(logOf(tiny.at('with'))).toEqual(logOf(tiny.at('without')));
    const made = only(events, 'sample').map(({ step, prompt, path }) => [step, prompt, path]);
    const path = (name: string): string => tiny.at('with', 'samples', name);
    expect(made).toEqual([
      [2, 'a sks dog riding a bike', path('step-000002-0.png')],
      [2, 'a cat', path('step-000002-1.png')],
      [4, 'a sks dog riding a bike', path('step-000004-0.png')],
      [4, 'a cat', path('step-000004-1.png')],
    ]);
    const { parameters } = await readPngText(path('step-000004-0.png'));
    expect(JSON.parse(parameters!)).toMatchObject({
      prompt: 'a sks dog riding a bike',
      step: 4,
      width: 64,
      height: 64,
    });
    expect(readFileSync(path('step-000002-0.png'))).not.toEqual(readFileSync(path('step-000004-0.png')));
  });

  it('resumes to the same pictures and values', async () => {
    const sample = { every: 2, prompts: ['a {0}'] };
    await tiny.run('whole', { steps: 4, sample });
    await tiny.run('parts', { steps: 3, sample });
    await tiny.run('parts', { steps: 4, sample, resume: true });
    expect(valuesOf(tiny.at('parts'))).toEqual(valuesOf(tiny.at('whole')));
    const last = (out: string): Buffer => readFileSync(tiny.at(out, 'samples', 'step-000004-0.png'));
    expect(last('parts')).toEqual(last('whole'));
  });
});

describe('events', () => {
  it('tell device, memory, phases, steps and the time of the whole run after three steps', async () => {
    const events = await eventsOf(tiny.run('events', { steps: 4 }));
    const kinds = events.map((event) => (event.type === 'phase' ? event.phase : event.type));
    expect(kinds.filter((kind, i) => kind !== kinds[i - 1])).toEqual([
      ...['load', 'device', 'forecast', 'encode', 'start', 'train', 'step', 'forecast', 'step', 'save'],
    ]);
    const [memory, time] = only(events, 'forecast');
    expect(memory).toEqual({ type: 'forecast', memory: expect.any(Number) });
    expect(time).toEqual({ type: 'forecast', memory: memory!.memory, seconds: expect.any(Number) });
    const steps = only(events, 'step');
    expect(steps.map(({ step, steps: all, learningRate }) => [step, all, learningRate])).toEqual(
      [1, 2, 3, 4].map((step) => [step, 4, 1e-2]),
    );
    expect(steps.at(-1)?.etaMs).toBe(0);
    expect(steps[0]!.etaMs).toBeGreaterThan(0);
    for (const { timesteps, activeRanks, loss } of steps) {
      const [t] = timesteps as [number];
      expect(activeRanks).toEqual([Math.trunc(((1000 - t) / 1000) * 2) + 2]);
      expect(loss).toBeGreaterThan(0);
    }
    expect(only(events, 'device')[0]).toMatchObject({
      device: { kind: 'cpu' },
      reason: expect.stringMatching(/^CPU: /),
    });
    const logged = logOf(tiny.at('events')).map(({ step, loss }) => ({ step, loss }));
    expect(logged).toEqual(steps.map(({ step, loss }) => ({ step, loss })));
  });

  it('give no time for runs of fewer steps', async () => {
    expect(only(await eventsOf(tiny.run('short', { steps: 2 })), 'forecast')).toHaveLength(1);
  });

  it('warn where an option has no or less effect', async () => {
    const warnings = async (out: string, more: object): Promise<string[]> => {
      const events = only(await eventsOf(tiny.run(out, { steps: 1, ...more })), 'warning');
      return events.map(({ code, message }) => `${code} ${message}`);
    };
    expect(await warnings('quiet', {})).toEqual([]);
    expect(await warnings('no mask', { variant: 'lora' })).toEqual([]);
    expect(await warnings('full', { minRank: 4 })).toEqual([
      "MASK_INACTIVE the least rank is the rank, 4: the mask of 'tlora' has no effect",
    ]);
    expect(await warnings('wide', { rank: 20 })).toEqual([
      expect.stringMatching(/^NARROW_LAYERS rank 20 is more than \d+ of \d+ layers .* there it is 16$/),
    ]);
    expect(await warnings('small', { resolution: 88 })).toEqual([
      expect.stringMatching(/^PICTURE_ENLARGED .* has 96×80 pixels and is enlarged to 88×88: /),
    ]);
    const long = `a photo of {0} ${'very '.repeat(100)}old`;
    expect(await warnings('long', { prompt: long })).toEqual([
      expect.stringMatching(/^PROMPT_TRUNCATED a prompt is too long: '.*very old' is left out$/),
    ]);
  });

  it('come with options that cannot be changed any more', async () => {
    const options = tiny.options('frozen', { steps: 1 });
    const { train } = await import('../../lib/train/train.js');
    const run = train(options);
    options.steps = 5;
    const { config, steps } = await run;
    expect(steps).toBe(1);
    expect(Object.isFrozen(config)).toBe(true);
    expect(config).toMatchObject({ rank: 4, minRank: 2, steps: 1, seed: 0, batch: 1 });
    expect(filesIn(tiny.at('frozen'))).not.toContain('checkpoints');
  });
});
