import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planTraining } from '../../lib/train/forecast.js';
import { type Recorded, tlora } from './recorder.js';

const script = fileURLToPath(new URL('../../scripts/make-random-model.mjs', import.meta.url));
let dir = '';

const plan = (...args: string[]): Promise<Recorded> =>
  tlora(['plan', '--model', join(dir, 'model'), '--threads', '2', ...args], {
    parts: { plan: async () => ({ planTraining }) },
  });

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-plan-'));
  const made = spawnSync(process.execPath, [
    script,
    '--shape',
    'tiny-sd15',
    '--headers-only',
    '--out',
    join(dir, 'model'),
  ]);
  expect(made.status).toBe(0);
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('tlora plan', () => {
  it('prints sizes from the headers alone', async () => {
    const { out, err, status } = await plan('--rank', '4');
    expect(status).toBe(0);
    expect(err).toBe('planned in 0.00 s\n'); // the test's clock stands still
    const names = out
      .trimEnd()
      .split('\n')
      .map((line) => line.split('  ')[0]);
    expect(names).toMatchInlineSnapshot(`
      [
        "device",
        "parameters",
        "trained values",
        "ops forward",
        "ops backward",
        "ops update",
        "arena",
        "weights",
        "trained state",
        "inputs, results",
        "thread memory",
        "total peak",
        "recomputed",
      ]
    `);
    expect(out).toContain('in 88 adapted linears');
    expect(out).toMatch(/^recomputed +nothing$/m);
  });

  it('prints JSON without the graph', async () => {
    const report = JSON.parse((await plan('--rank', '4', '--json')).out);
    expect(report).not.toHaveProperty('graph');
    expect(report).not.toHaveProperty('plan');
    expect(report.forecast.totalBytes).toBeGreaterThan(report.arenaBytes);
    expect(report.arenaBytes).toBeLessThanOrEqual(report.livePeakBytes * 1.06);
  });

  it('names the smallest memory that works', async () => {
    const { err, status, out } = await plan('--memory', '1MB');
    expect(err).toMatch(/^error: --memory: expected at least [\d.]+MB for this model/m);
    expect({ status, out }).toEqual({ status: 1, out: '' });
  });

  it('writes the encoded plan', async () => {
    const file = join(dir, 'step.plan');
    const { err, status } = await plan('--rank', '4', '--emit', file);
    expect({ err, status }).toEqual({ err: `planned in 0.00 s\nplan written to ${file}\n`, status: 0 });
    expect(readFileSync(file).subarray(0, 8).toString()).toBe('TLORAPLN');
    expect(readdirSync(dir).sort()).toEqual(['model', 'step.plan']);
  });

  it('names bad values by their flags', async () => {
    const refuses = async (flag: string, value: string, message: string): Promise<void> => {
      const { err, status } = await plan(flag, value);
      expect(err).toContain(message);
      expect(status).toBe(2);
    };
    await refuses('--batch', '0', 'error: --batch: expected a whole number of at least 1, got 0');
    await refuses('--rank', '2.5', 'error: --rank: expected a whole number of at least 1, got 2.5');
    await refuses('--threads', '-1', 'error: --threads: expected a whole number of at least 1, got -1');
    await refuses('--resolution', '100', 'error: --resolution: expected a multiple of 8');
    await refuses('--memory', 'lots', "error: --memory: expected a size such as 9GB or 8.5GiB, got 'lots'");
    await refuses('--precision', 'int8', 'Allowed choices are bf16, fp16, tf32, fp32.');
  });

  it('names what is wrong with a folder', async () => {
    const parts = { plan: async () => ({ planTraining }) };
    const { err, status } = await tlora(['plan', '--model', dir], { parts });
    expect(err).toContain('is not a model folder: it has no model_index.json');
    expect(status).toBe(1);
  });
});

describe('SDXL at 1024² on CUDA, rank 64 in bfloat16', () => {
  const model = join(tmpdir(), `tlora-sdxl-${process.pid}`);
  beforeAll(() => {
    const made = spawnSync(process.execPath, [script, '--shape', 'sdxl', '--headers-only', '--out', model]);
    expect(made.status).toBe(0);
  });
  afterAll(() => rmSync(model, { recursive: true, force: true }));
  const shape = { model, resolution: 1024, rank: 64, device: 'cuda' as const };

  it('trains in 12 GB, in bfloat16 by default', () => {
    const { precision, forecast, recomputed } = planTraining(shape);
    expect({ precision, recomputed }).toEqual({ precision: 'bf16', recomputed: [] });
    const attention = 10 * 4096 * 4096 * 2 + 4096; // dS of 4096 tokens and 10 heads
    expect(forecast.workspaceBytes).toBe(64 * 2 ** 20 + attention);
    expect(forecast.totalBytes).toBeLessThan(12e9);
  });

  it('trains in 8 GB by recomputing', () => {
    const { forecast, recomputed } = planTraining({ ...shape, memory: '8GB' });
    expect(forecast.totalBytes).toBeLessThanOrEqual(8e9);
    expect(recomputed.length).toBeGreaterThan(0);
  });
});
