import { describe, expect, it } from 'vitest';
import {
  median,
  ownPeakBytes,
  ratioLine,
  ratioOf,
  relativeDifference,
  showMs,
  timed,
  timeLine,
  timesOf,
} from '../../bench/times.js';

describe('median', () => {
  it('is the middle value, in whatever order they come', () => {
    expect(median([30, 1, 2])).toBe(2);
  });

  it('is the mean of the two in the middle', () => {
    expect(median([40, 1, 2, 4])).toBe(3);
  });

  it('leaves its argument as it is', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it('of nothing is no number', () => {
    expect(median([])).toBeNaN();
  });
});

describe('times', () => {
  const slow = [
    { ms: 40, cpuMs: 60 },
    { ms: 20, cpuMs: 30 },
    { ms: 90, cpuMs: 40 },
  ];

  it('are the best, the median and the median of the processor time', () => {
    expect(timesOf(slow)).toEqual({ bestMs: 20, medianMs: 40, cpuMs: 40 });
  });

  it('have a ratio that is above 1 where the second program is faster', () => {
    const fast = { bestMs: 10, medianMs: 10, cpuMs: 80 };
    expect(ratioOf(timesOf(slow), fast)).toEqual({ best: 2, median: 4, cpu: 0.5 });
    expect(ratioLine({ best: 2, median: 4, cpu: 0.5 })).toBe(
      'PyTorch / tlora: best 2.00×, median 4.00×, processor 0.50×',
    );
  });

  it('are those of the step, whose result comes with them', async () => {
    const { result, ms, cpuMs } = await timed(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return 'done';
    });
    expect(result).toBe('done');
    expect(ms).toBeGreaterThan(15);
    expect(cpuMs).toBeGreaterThanOrEqual(0);
  });
});

describe('relativeDifference', () => {
  it('is the norm of the difference by the norm of the second', () => {
    expect(relativeDifference([3, 4], [0, 5])).toBeCloseTo(Math.sqrt(10) / 5);
    expect(relativeDifference([1, 2], [1, 2])).toBe(0);
  });

  it('is no number where it means nothing, so that no bound holds', () => {
    expect(relativeDifference([1], [1, 2])).toBeNaN();
    expect(relativeDifference([1, 2], [1])).toBeNaN();
    expect(relativeDifference([Number.NaN], [1])).toBeNaN();
  });
});

describe('a line of times', () => {
  const times = { bestMs: 12.345, medianMs: 1500, cpuMs: 2000 };

  it('has units, the speed of the median and the memory', () => {
    const line = timeLine('tlora', { ...times, peakBytes: 3e9 }, 3e9);
    expect(line.split(/ {2,}/)).toEqual([
      'tlora',
      'best 12.35 ms',
      'median 1.50 s',
      'processor 2.00 s',
      '2 GFLOP/s',
      expect.stringMatching(/^peak memory [\d.]+ ?GB$/),
    ]);
  });

  it('stands under the line before it', () => {
    const [one, other] = ['tlora', 'PyTorch'].map((name) => timeLine(name, { ...times, peakBytes: 3e9 }, 3e9));
    expect(one!.indexOf('median')).toBe(other!.indexOf('median'));
    expect(one!.indexOf('peak')).toBe(other!.indexOf('peak'));
  });

  it('is silent about memory that the system does not tell', () => {
    expect(timeLine('tlora', { ...times, peakBytes: null }, 3e9)).toMatch(/GFLOP\/s$/);
  });

  it('turns to seconds at a tenth of one', () => {
    expect([99.99, 100, 61_000].map(showMs)).toEqual(['99.99 ms', '0.10 s', '61.00 s']);
  });
});

describe.runIf(process.platform === 'linux')('the peak of this process', () => {
  it('is more than its heap', () => {
    expect(ownPeakBytes()).toBeGreaterThan(process.memoryUsage().heapUsed / 2);
  });
});
