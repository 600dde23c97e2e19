import { describe, expect, it } from 'vitest';
import { conditionTensors, squareTimeIds, usualSchedule } from '../../bench/step/inputs.js';
import { normals } from '../../bench/step/normals.js';
import { type ProfiledCall, profileRows, profileTable, shortestCalls } from '../../bench/step/profile.js';
import { count, type ModelValues, modelSettings, oneOf } from '../../bench/step/settings.js';

const call = (op: string, ms: number, flops = 0): ProfiledCall => ({ op, sizes: '1', ms, flops });

describe('profiles', () => {
  it('are joined by the shortest time of each call', () => {
    const joined = shortestCalls([
      [call('linear', 3), call('silu', 1)],
      [call('linear', 2), call('silu', 4)],
    ]);
    expect(joined.map(({ ms }) => ms)).toEqual([2, 1]);
  });

  const rows = profileRows([call('silu', 1), call('linear', 2, 4e6), call('linear', 1, 2e6)], ({ op }) => op);

  it('are summed by key, most time first', () => {
    expect(rows).toEqual([
      { key: 'linear', count: 2, ms: 3, share: 0.75, gflops: 2 },
      { key: 'silu', count: 1, ms: 1, share: 0.25, gflops: null },
    ]);
  });

  it('are shown as a table with a speed only where operations are counted', () => {
    const lines = profileTable('op', rows).split('\n');
    expect(lines.map((line) => line.trim().split(/ +/))).toEqual([
      ['op', 'calls', 'ms', 'share', 'GFLOP/s'],
      ['linear', '2', '3.000', '75.0', '%', '2'],
      ['silu', '1', '1.000', '25.0', '%'],
    ]);
  });
});

describe('options', () => {
  const values: ModelValues = { layout: 'nchw', shape: 'mini', model: 'a-model', json: false };

  it('leave the resolution of a given model to the model', () => {
    expect(modelSettings({ ...values, threads: '3' })).toEqual({
      against: false,
      layout: 'nchw',
      model: 'a-model',
      resolution: undefined,
      rank: 16,
      threads: 3,
      json: false,
    });
  });

  it('are refused with the choices', () => {
    expect(() => modelSettings({ ...values, against: 'jax' })).toThrow('--against: expected pytorch, got jax');
    expect(() => modelSettings({ ...values, shape: 'huge' })).toThrow('--shape: expected sd15 or sdxl or');
    expect(() => oneOf('layout', 'hwc', ['nchw', 'nhwc'])).toThrow('--layout: expected nchw or nhwc, got hwc');
  });

  it('are whole numbers from 1 up', () => {
    expect(count('rank', '64')).toBe(64);
    for (const wrong of ['0', '-1', '1.5', 'x', ''])
      expect(() => count('rank', wrong)).toThrow('--rank: expected a whole number from 1 up');
  });
});

describe('made-up inputs', () => {
  it('are unit normal, and other ones in another stream', () => {
    const values = normals(1, 10_001);
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    const variance = values.reduce((sum, v) => sum + v * v, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
    expect(normals(1, 4)).toEqual(values.subarray(0, 4));
    expect(normals(2, 4)).not.toEqual(values.subarray(0, 4));
  });

  it('give another program size conditions for each prompt, where the model has any', () => {
    const text = { n: 2, tokens: 1, width: 2, states: new Float32Array(4), pooled: null, truncated: [] };
    const keys = (pooled: Float32Array | null): (string | readonly number[])[][] =>
      conditionTensors({ ...text, pooled }, squareTimeIds(64)).map(({ key, shape }) => [key, shape]);
    expect(keys(null)).toEqual([['encoderHiddenStates', [2, 1, 2]]]);
    expect(keys(new Float32Array(6)).slice(1)).toEqual([
      ['textEmbeds', [2, 3]],
      ['timeIds', [2, 6]],
    ]);
    const ids = conditionTensors({ ...text, pooled: new Float32Array(6) }, squareTimeIds(64)).at(-1)!;
    expect([...(ids.data as Float32Array)]).toEqual([64, 64, 0, 0, 64, 64, 64, 64, 0, 0, 64, 64]);
  });

  it('mask down to half the rank', () => {
    expect(usualSchedule(1000, 9)).toEqual({ T: 1000, maxRank: 9, minRank: 4, alpha: 1 });
  });
});
