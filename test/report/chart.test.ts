import { describe, expect, it } from 'vitest';
import { barChart, lineChart, ticks } from '../../lib/report/chart.js';
import { escapeHtml, shown } from '../../lib/report/html.js';

describe('ticks', () => {
  it('are few round numbers within the range', () => {
    expect(ticks(0, 1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(0, 400)).toEqual([0, 100, 200, 300, 400]);
    expect(ticks(0.83, 0.97)).toEqual([0.85, 0.9, 0.95]);
    expect(ticks(5, 5)).toEqual([5]);
  });
});

describe('lineChart', () => {
  const series = [
    { label: 'a <b>', colour: 0, points: [[0, 1] as const, [10, 0.5] as const], mark: { x: 10, label: 'best' } },
    { label: 'c', colour: 1, points: [[0, 1] as const, [5, Number.NaN] as const, [10, 2] as const] },
  ];

  it('draws a line for each series inside the frame, leaves out what is infinite and escapes names', () => {
    const svg = lineChart({ title: 't', xLabel: 'step', series });
    const lines = [...svg.matchAll(/<polyline class="s(\d)" points="([^"]+)"/g)];
    expect(lines.map(([, colour]) => colour)).toEqual(['0', '1']);
    expect(lines.map(([, , points]) => points!.split(' ').length)).toEqual([2, 2]);
    for (const [, , points] of lines) {
      for (const point of points!.split(' ')) {
        const [x, y] = point.split(',').map(Number) as [number, number];
        expect(x).toBeGreaterThanOrEqual(46);
        expect(x).toBeLessThanOrEqual(420);
        expect(y).toBeGreaterThanOrEqual(14);
        expect(y).toBeLessThanOrEqual(206);
      }
    }
    expect(svg).toContain('a &lt;b&gt;');
    expect(svg.match(/<circle/g)).toHaveLength(1);
    expect(svg).not.toContain('NaN');
  });

  it('shows a rule that lies outside of the values', () => {
    const svg = lineChart({ title: 't', xLabel: 'x', series, rule: { y: 4, label: 'limit' } });
    expect(svg).toContain('limit');
    expect(svg).toContain('class="rule"');
  });
});

it('barChart draws widths in proportion', () => {
  const bars = [4, 1].map((value, colour) => ({ colour, value, title: '' }));
  const svg = barChart('t', [{ label: 'g', bars }]);
  const [wide, narrow] = [...svg.matchAll(/width="([\d.]+)"/g)].map(([, width]) => Number(width));
  expect(wide! / narrow!).toBeCloseTo(4, 1);
});

it('text and numbers are shown safely and shortly', () => {
  expect(escapeHtml('<a href="x">&')).toBe('&lt;a href=&quot;x&quot;&gt;&amp;');
  expect([0, 1234.5, 0.12345, 0.00001234, null, Number.NaN].map((value) => shown(value))).toEqual([
    ...['0', '1230', '0.123', '1.2e-5', '–', '–'],
  ]);
});
