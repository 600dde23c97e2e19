import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openAdapter } from '../../lib/adapters/openAdapter.js';
import { AbortError } from '../../lib/errors.js';
import type { TrainEvent, WatchEvent } from '../../lib/train/events.js';
import type { TrainOptions } from '../../lib/train/options.js';
import { readRunLog } from '../../lib/train/runLog.js';
import { COPYING, watchRecord, watchVerdict } from '../../lib/train/watchFigures.js';
import { eventsOf, filesIn, logOf, tinyTraining, valuesOf } from './tinyTraining.js';

const tiny = tinyTraining();
const watch = { every: 2, draws: 1 };

const watchesOf = (events: readonly TrainEvent[]): WatchEvent[] =>
  events.filter((event): event is WatchEvent => event.type === 'watch');

function bestStep(out: string): unknown {
  return openAdapter(tiny.at(out, 'best.safetensors')).info?.training.steps;
}

describe('a watched run', () => {
  it.each<[string, Partial<TrainOptions>]>([
    ['tlora', {}],
    ['lora, accumulate 2, batch 2', { variant: 'lora', accumulate: 2, batch: 2 }],
  ])('trains the same bits as one that is not: %s', async (name, more) => {
    await tiny.run(`plain ${name}`, { steps: 4, ...more });
    await tiny.run(`watched ${name}`, { steps: 4, watch: { ...watch, samples: 1 }, ...more });
    expect(valuesOf(tiny.at(`watched ${name}`))).toEqual(valuesOf(tiny.at(`plain ${name}`)));
    const steps = logOf(tiny.at(`watched ${name}`)).filter((line) => !('watch' in line));
    expect(steps).toEqual(logOf(tiny.at(`plain ${name}`)));
  });

  it('measures before the first step, every so many and after the last', async () => {
    const events = await eventsOf(tiny.run('lines', { steps: 5, watch }));
    const { watches } = readRunLog(tiny.at('lines', 'log.jsonl'));
    expect(watches.map(({ step }) => step)).toEqual([0, 2, 4, 5]);
    expect(watchesOf(events).map(({ step }) => step)).toEqual([2, 4, 5]);
    for (const line of watches) {
      expect(line.watch.losses).toHaveLength(5);
      for (const loss of line.watch.losses) expect(loss).toBeGreaterThan(0);
      expect(Number.isFinite(line.watch.unknown)).toBe(true);
      expect(line.watch.distance).toBeNull();
    }
  });

  it('marks the best checkpoint by the stated rule', async () => {
    const result = await tiny.run('best', { steps: 12, rank: 16, watch });
    const [without, ...watches] = readRunLog(tiny.at('best', 'log.jsonl')).watches;
    const records = watches.map((line) => watchRecord(line.step, line.watch, without!.watch));
    const { best } = watchVerdict(records);
    expect(result.watch).toEqual({
      best: { step: best, path: tiny.at('best', 'best.safetensors') },
      copyingFrom: null,
    });
    expect(bestStep('best')).toBe(best);
    expect(records.map(({ copy }) => copy < COPYING)).toEqual(records.map(() => true));
    expect(Math.min(...records.map(({ shares }) => shares[0]!))).toBeLessThan(0.95); // large steps learn something at once
  });

  it('says when copying starts, and keeps what was best before', async () => {
    await tiny.run('copying', { steps: 2, watch });
    // What is unknown without adapters is told to be so much that step 2 knows a little less than COPYING of it by heart, step 4 more.
    const path = tiny.at('copying', 'log.jsonl');
    const lines = readFileSync(path, 'utf8').split('\n');
    const line = JSON.parse(lines[0]!) as { step: number; watch: { unknown: number } };
    expect(line.step).toBe(0);
    const next = JSON.parse(lines.find((text) => text.includes('watch') && text.includes('"step":2'))!) as typeof line;
    line.watch.unknown = (0.99995 / (1 - COPYING)) * next.watch.unknown;
    writeFileSync(path, [JSON.stringify(line), ...lines.slice(1)].join('\n'));
    const events = await eventsOf(tiny.run('copying', { steps: 8, watch, resume: true }));
    const told = watchesOf(events).map(({ step, copyingFrom, bestPath }) => [step, copyingFrom, bestPath === null]);
    expect(told).toEqual([
      [4, 4, true],
      [6, 4, true],
      [8, 4, true],
    ]);
    expect(bestStep('copying')).toBe(2);
    const again = await tiny.run('copying', { steps: 9, watch, resume: true });
    expect(again.watch).toEqual({ best: { step: 2, path: tiny.at('copying', 'best.safetensors') }, copyingFrom: 4 });
  });

  it('keeps the adapter that a run of so many steps would give', async () => {
    const { watch: summary } = await tiny.run('kept', { steps: 4, watch });
    const { step } = summary!.best!;
    await tiny.run('shorter', { steps: step });
    const [kept, shorter] = [tiny.at('kept', 'best.safetensors'), tiny.at('shorter', 'adapter.safetensors')];
    const name = `${openAdapter(kept).layers[0]!.path}.lora_up.weight`;
    expect(openAdapter(kept).change(name)).toEqual(openAdapter(shorter).change(name));
  });

  it('resumes to the log, the verdict and the bits of an uninterrupted run', async () => {
    const more = { watch: { ...watch, samples: 2, prompt: 'a {0} in the snow' } };
    const whole = await tiny.run('whole', { steps: 6, ...more });
    await tiny.run('parts', { steps: 4, ...more });
    const parts = await tiny.run('parts', { steps: 6, resume: true, ...more });
    expect(parts.watch?.copyingFrom).toEqual(whole.watch?.copyingFrom);
    expect(parts.watch?.best?.step).toEqual(whole.watch?.best?.step);
    expect(logOf(tiny.at('parts'))).toEqual(logOf(tiny.at('whole')));
    expect(readFileSync(tiny.at('parts', 'best.safetensors'))).toEqual(
      readFileSync(tiny.at('whole', 'best.safetensors')),
    );
    const { watches } = readRunLog(tiny.at('whole', 'log.jsonl'));
    expect(watches.map(({ watch: { distance } }) => distance! > 0)).toEqual([true, true, true, true]);
  });

  it('makes up for figures that a stop cut short', async () => {
    const run = tiny.run('stopped', { steps: 4, watch });
    run.on('step', ({ step }) => {
      if (step === 2) run.stop().catch(() => {});
    });
    expect(await run).toMatchObject({ steps: 2, watch: { best: null } });
    expect(readRunLog(tiny.at('stopped', 'log.jsonl')).watches.map(({ step }) => step)).toEqual([0]);
    await tiny.run('stopped', { steps: 4, watch, resume: true });
    await tiny.run('not stopped', { steps: 4, watch });
    expect(logOf(tiny.at('stopped'))).toEqual(logOf(tiny.at('not stopped')));
  });

  it('writes nothing more when it is aborted in the middle of a measurement', async () => {
    const run = tiny.run('aborted', { steps: 4, watch });
    let stepped = false;
    run.on('step', () => {
      stepped = true;
    });
    run.on('phase', ({ phase }) => {
      if (phase === 'watch' && stepped) run.abort();
    });
    await expect(run).rejects.toThrow(AbortError);
    expect(filesIn(tiny.at('aborted'))).toEqual(['config.json', 'log.jsonl']);
  });

  it('may begin when a run goes on, and end', async () => {
    await tiny.run('later', { steps: 2 });
    const { watch: summary } = await tiny.run('later', { steps: 4, resume: true, watch });
    expect(summary?.best?.step).toBeGreaterThan(0);
    const steps = readRunLog(tiny.at('later', 'log.jsonl')).watches.map(({ step }) => step);
    expect(steps).toEqual([0, 2, 4]);
    expect(await tiny.run('later', { steps: 5, resume: true })).toMatchObject({ watch: null });
  });

  it('measures the model without adapters as step 0 even when it begins later', async () => {
    const baseline = (out: string): unknown => readRunLog(tiny.at(out, 'log.jsonl')).watches[0];
    await tiny.run('from the start', { steps: 1, watch });
    await tiny.run('in between', { steps: 2 });
    await tiny.run('in between', { steps: 3, resume: true, watch });
    expect(baseline('in between')).toEqual(baseline('from the start'));
  });

  it('is overwritten whole', async () => {
    await tiny.run('again', { steps: 2, watch });
    await tiny.run('again', { steps: 2, overwrite: true });
    expect(existsSync(tiny.at('again', 'best.safetensors'))).toBe(false);
  });
});
