import { describe, expect, it } from 'vitest';
import { formatDuration, formatRate } from '../../lib/cli/formats.js';
import { createProgress, type Progress } from '../../lib/cli/progress.js';
import type { TrainEvent } from '../../lib/train/events.js';

function step(n: number): TrainEvent {
  return {
    type: 'step',
    step: n,
    steps: 100,
    loss: 0.12345,
    timesteps: [500],
    activeRanks: [8],
    learningRate: 1e-4,
    stepMs: 2500,
    etaMs: 250_000,
    memory: { used: 2.1e9, peak: 2.3e9 },
  };
}

const text = 'loss 0.1235  2.5 s/it  ETA 4m 10s  2.10GB (peak 2.30GB)';

function record(
  tty: boolean,
  options: object = {},
  env: Record<string, string> = {},
): { progress: Progress; shown(): string; wait(ms: number): void } {
  let shown = '';
  let now = 0;
  const err = { write: (part: string) => (shown += part), isTTY: tty, columns: 100 };
  return {
    progress: createProgress({ err, env, now: () => now }, options),
    shown: () => shown,
    wait: (ms) => {
      now += ms;
    },
  };
}

describe('progress', () => {
  it('redraws one line on a terminal', () => {
    const { progress, shown } = record(true);
    progress.event(step(1));
    progress.event(step(2));
    progress.end();
    expect(shown()).toBe(`\rstep 1/100  ${text}\x1b[K\rstep 2/100  ${text}\x1b[K\n`);
  });

  it('leaves the last step behind, not what came after it', () => {
    const { progress, shown } = record(true);
    progress.event(step(100));
    progress.event({ type: 'phase', phase: 'save' });
    progress.end();
    progress.end();
    expect(shown()).toBe(`\rstep 100/100  ${text}\x1b[K\rsaving\x1b[K\rstep 100/100  ${text}\x1b[K\n`);
  });

  it('keeps notes above the line', () => {
    const { progress, shown } = record(true);
    progress.event(step(1));
    progress.event({ type: 'checkpoint', step: 1, path: 'x' });
    expect(shown()).toBe(`\rstep 1/100  ${text}\x1b[K\r\x1b[Kstep 1: checkpoint x\n\rstep 1/100  ${text}\x1b[K`);
  });

  it('writes at most one plain line in ten seconds elsewhere, the first and the last step always', () => {
    const { progress, shown, wait } = record(false);
    for (const n of [1, 2, 3]) {
      progress.event(step(n));
      wait(5000);
    }
    progress.event(step(4));
    progress.event(step(100));
    progress.end();
    expect(shown().match(/step \d+/g)).toEqual(['step 1', 'step 3', 'step 100']);
    for (const control of ['\r', '\x1b']) expect(shown()).not.toContain(control);
  });

  it('cuts the line to the width of the terminal', () => {
    let shown = '';
    const err = { write: (part: string) => (shown += part), isTTY: true, columns: 30 };
    createProgress({ err, env: {}, now: () => 0 }, {}).event(step(1));
    expect(shown).toBe(`\r${`step 1/100  ${text}`.slice(0, 29)}\x1b[K`);
  });

  it('has no line with --no-progress, and only warnings with --quiet', () => {
    const some = (progress: Progress): void => {
      progress.event(step(1));
      progress.event({ type: 'forecast', memory: 3e9 });
      progress.event({ type: 'warning', code: 'X', message: 'careful' });
    };
    const without = record(true, { progress: false }, { NO_COLOR: '1' });
    some(without.progress);
    expect(without.shown()).toBe('memory: 3.00GB will be needed\nwarning: careful\n');
    const quiet = record(false, { quiet: true });
    some(quiet.progress);
    expect(quiet.shown()).toBe('warning: careful\n');
  });

  it('colours only a terminal, and not against NO_COLOR', () => {
    const shownWith = (tty: boolean, env: Record<string, string>): string => {
      const { progress, shown } = record(tty, {}, env);
      progress.event({ type: 'warning', code: 'X', message: 'careful' });
      return shown();
    };
    expect(shownWith(true, {})).toContain('\x1b[33mwarning:');
    expect(shownWith(true, { NO_COLOR: '1' })).toBe('warning: careful\n');
    expect(shownWith(false, {})).toBe('warning: careful\n');
  });

  it('tells of phases, device, time and samples', () => {
    const { progress, shown } = record(false);
    progress.event({ type: 'phase', phase: 'load' });
    progress.event({
      type: 'device',
      device: { kind: 'cpu', name: 'EPYC' },
      precision: 'fp32',
      reason: 'no NVIDIA driver',
    });
    progress.event({ type: 'forecast', memory: 1, seconds: 90 });
    progress.event({ type: 'sample', step: 5, prompt: 'p', path: 's.png' });
    progress.event({ type: 'step', picture: 0, pictures: 2, step: 1, steps: 25, stepMs: 100, etaMs: 5000 });
    expect(shown()).toBe(
      'loading the model\ndevice: EPYC (no NVIDIA driver)\ntime: about 1m 30s for the whole run\nstep 5: sample s.png\n' +
        'picture 1/2  step 1/25  10.0 it/s  ETA 5s\n',
    );
  });
});

describe('formats', () => {
  it('of durations and rates', () => {
    expect([0, 59_400, 60_000, 3_599_000, 7_500_000].map(formatDuration)).toEqual([
      '0s',
      '59s',
      '1m 00s',
      '59m 59s',
      '2h 05m',
    ]);
    expect([1, 250, 1000, 12_340].map(formatRate)).toEqual(['1000.0 it/s', '4.0 it/s', '1.0 s/it', '12.3 s/it']);
  });
});
