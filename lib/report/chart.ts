// Charts as inline SVG: no script, colours from the page's style, so that they follow light and dark.
import { escapeHtml, shown } from './html.js';

/** A line of a chart. */
export interface Series {
  readonly label: string;
  /** Which of the page's colours. */
  readonly colour: number;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** A point that stands out. */
  readonly mark?: { readonly x: number; readonly label: string } | undefined;
}

export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
  /** Whether the axis of values begins at 0. */
  readonly fromZero?: boolean;
  /** A level that means something. */
  readonly rule?: { readonly y: number; readonly label: string };
}

const [WIDTH, HEIGHT] = [440, 240];
const FRAME = { left: 46, right: 20, top: 14, bottom: 34 };

/** Round numbers from `low` to `high`, four or so. */
export function ticks(low: number, high: number): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * rough).find((one) => span / one <= 5)!;
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor((high - first * step) / step + 1e-9) + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

interface Scales {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly xs: readonly [number, number];
  readonly ys: readonly [number, number];
}

function scalesOf({ series, fromZero = true, rule }: LineChart): Scales {
  const points = series.flatMap((one) => one.points).filter(([, y]) => Number.isFinite(y));
  const values = [...points.map(([, y]) => y), ...(rule ? [rule.y] : [])];
  const xs = [Math.min(...points.map(([x]) => x)), Math.max(...points.map(([x]) => x))] as const;
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const pad = 0.05 * (most - least || Math.abs(most) || 1);
  const ys = [fromZero ? Math.min(0, least) : least - pad, most + pad] as const;
  const scale = (from: readonly [number, number], to: readonly [number, number]) => (value: number) =>
    to[0] + ((value - from[0]) / (from[1] - from[0] || 1)) * (to[1] - to[0]);
  return {
    ...{ xs, ys },
    x: scale(xs, [FRAME.left, WIDTH - FRAME.right]),
    y: scale(ys, [HEIGHT - FRAME.bottom, FRAME.top]),
  };
}

const text = (x: number, y: number, words: string, anchor = 'middle'): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(words)}</text>`;

function axes({ x, y, xs, ys }: Scales, xLabel: string): string[] {
  const bottom = HEIGHT - FRAME.bottom;
  const rows = ticks(...ys).map(
    (value) =>
      `<line class="grid" x1="${FRAME.left}" x2="${WIDTH - FRAME.right}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/>${text(FRAME.left - 6, y(value) + 4, shown(value), 'end')}`,
  );
  const columns = ticks(...xs).map((value) => text(x(value), bottom + 15, shown(value)));
  return [...rows, ...columns, text((FRAME.left + WIDTH - FRAME.right) / 2, HEIGHT - 4, xLabel)];
}

function line({ label, colour, points, mark }: Series, { x, y }: Scales): string {
  const finite = points.filter(([, value]) => Number.isFinite(value));
  const path = finite.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`).join(' ');
  const marked = mark && finite.find(([px]) => px === mark.x);
  const circle = marked
    ? `<circle class="s${colour}" cx="${x(marked[0]).toFixed(1)}" cy="${y(marked[1]).toFixed(1)}" r="5"><title>${escapeHtml(mark.label)}</title></circle>`
    : '';
  return `<polyline class="s${colour}" points="${path}"><title>${escapeHtml(label)}</title></polyline>${circle}`;
}

/** A chart of lines; a caption stands above it. */
export function lineChart(chart: LineChart): string {
  const scales = scalesOf(chart);
  const { title, xLabel, series, rule } = chart;
  const level = rule
    ? `<line class="rule" x1="${FRAME.left}" x2="${WIDTH - FRAME.right}" y1="${scales.y(rule.y).toFixed(1)}" y2="${scales.y(rule.y).toFixed(1)}"/>${text(WIDTH - FRAME.right, scales.y(rule.y) - 5, rule.label, 'end')}`
    : '';
  const body = [...axes(scales, xLabel), level, ...series.map((one) => line(one, scales))].join('');
  return figure(title, HEIGHT, body);
}

export interface BarGroup {
  readonly label: string;
  readonly bars: readonly { readonly colour: number; readonly value: number; readonly title: string }[];
}

const BAR = { height: 13, gap: 8, label: 74 };

/** Groups of horizontal bars, each with its value. */
export function barChart(title: string, groups: readonly BarGroup[]): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)), 1e-9);
  const rows: string[] = [];
  let at = 4;
  for (const { label, bars } of groups) {
    rows.push(text(BAR.label - 8, at + (bars.length * BAR.height) / 2 + 4, label, 'end'));
    for (const { colour, value, title: tip } of bars) {
      const width = ((WIDTH - BAR.label - 44) * value) / most;
      rows.push(
        `<rect class="s${colour}" x="${BAR.label}" y="${at}" width="${width.toFixed(1)}" height="${BAR.height - 1}" rx="2"><title>${escapeHtml(tip)}</title></rect>`,
        text(BAR.label + width + 5, at + BAR.height - 2, shown(value), 'start'),
      );
      at += BAR.height;
    }
    at += BAR.gap;
  }
  return figure(title, at, rows.join(''));
}

function figure(title: string, height: number, body: string): string {
  return `<figure class="chart"><figcaption>${escapeHtml(title)}</figcaption><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(title)}">${body}</svg></figure>`;
}
