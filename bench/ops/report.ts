// Speeds, ratios, tables and gates of measured trials.
import { median } from '../times.js';
import type { Measured, Name } from './measure.js';
import type { Group } from './trial.js';

export interface Row {
  readonly group: Group;
  readonly name: string;
  readonly flops: number;
  /** Seconds at best and in the median, by contender. */
  readonly best: Readonly<Partial<Record<Name, number>>>;
  readonly median: Readonly<Partial<Record<Name, number>>>;
  /** Time of a contender at its best by ours at its best; above 1 we are faster. */
  readonly ratio: Readonly<Partial<Record<Name, number>>>;
  /** Floating-point operations a second of one thread in registers alone, at best, in the same turns. */
  readonly peak: number;
  readonly algorithm?: string;
  readonly side?: number;
}

export interface Gate {
  readonly text: string;
  readonly passed: boolean;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

export function rowOf({ trial, seconds, peak, algorithm }: Measured): Row {
  const each = (of: (list: readonly number[]) => number): Partial<Record<Name, number>> =>
    Object.fromEntries(Object.entries(seconds).map(([name, list]) => [name, of(list)]));
  const best = each((list) => Math.min(...list));
  const ratio = Object.fromEntries(
    Object.entries(best).flatMap(([name, time]) => (name === 'tlora' ? [] : [[name, time / best.tlora!]])),
  );
  const { group, name, flops, side } = trial;
  const optional = { ...(algorithm ? { algorithm } : {}), ...(side ? { side } : {}) };
  return { group, name, flops, best, median: each(median), ratio, peak, ...optional };
}

const TITLES: Readonly<Record<Name, string>> = {
  tlora: 'tlora',
  openblas: 'OpenBLAS',
  onednn: 'oneDNN',
  torch: 'PyTorch',
};
const NAMES = Object.keys(TITLES) as Name[];

function cell(row: Row, seconds: number | undefined): string {
  if (seconds === undefined) return '';
  return row.flops > 0 ? (row.flops / seconds / 1e9).toFixed(1) : `${(seconds * 1e3).toFixed(3)} ms`;
}

/** A Markdown table of one group: GFLOP/s at best and in the median (milliseconds where bytes bound), and ratios. */
export function table(rows: readonly Row[]): string {
  const present = NAMES.filter((name) => rows.some((row) => row.best[name] !== undefined));
  const rivals = present.filter((name) => name !== 'tlora');
  const head = [
    'shape',
    ...present.map((n) => `${TITLES[n]} (median)`),
    ...rivals.map((n) => `× ${TITLES[n]}`),
    'peak of a thread',
  ];
  const lines = rows.map((row) => [
    row.name,
    ...present.map((n) => (row.best[n] === undefined ? '' : `${cell(row, row.best[n])} (${cell(row, row.median[n])})`)),
    ...rivals.map((n) => row.ratio[n]?.toFixed(2) ?? ''),
    (row.peak / 1e9).toFixed(1),
  ]);
  const mean = [
    'geometric mean',
    ...present.map(() => ''),
    ...rivals.map((n) => geometricMean(ratios(rows, n)).toFixed(2)),
    '',
  ];
  return [head, head.map(() => '---'), ...lines, mean].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function ratios(rows: readonly Row[], name: Name): number[] {
  return rows.flatMap((row) => row.ratio[name] ?? []);
}

/** Smaller products are bound by calls and bytes. */
const LEAST_FLOPS = 1e7;

interface Rule {
  readonly what: string;
  readonly against: Name;
  readonly least: number;
  readonly mean?: number;
  readonly applies: (row: Row) => boolean;
}

const large = (row: Row): boolean => row.flops > LEAST_FLOPS;
const RULES: readonly Rule[] = [
  { what: 'products', against: 'openblas', least: 0.9, mean: 1, applies: (row) => row.group === 'gemm' && large(row) },
  {
    what: 'convolutions',
    against: 'onednn',
    least: 0.9,
    mean: 1,
    applies: (row) => row.group === 'conv' && large(row),
  },
  {
    what: '3x3 convolutions at 8x8',
    against: 'torch',
    least: 2,
    applies: (row) => row.group === 'conv' && row.side === 8,
  },
  {
    what: '3x3 convolutions at 16x16',
    against: 'torch',
    least: 1.25,
    applies: (row) => row.group === 'conv' && row.side === 16,
  },
  { what: 'attention', against: 'torch', least: 1, applies: (row) => row.group === 'attention' && large(row) },
];

/** Whether a shape by itself misses a gate. */
export function missesGate(row: Row): boolean {
  return RULES.some(({ against, least, applies }) => applies(row) && (row.ratio[against] ?? least) < least);
}

/** What must hold; rules without a measured shape are left out. */
export function gates(rows: readonly Row[]): Gate[] {
  return RULES.flatMap(({ what, against, least, mean, applies }) => {
    const met = rows.filter((row) => applies(row) && row.ratio[against] !== undefined);
    if (met.length === 0) return [];
    const slow = met.filter((row) => row.ratio[against]! < least);
    const lowest = Math.min(...met.map((row) => row.ratio[against]!));
    const each = `${what} at least ${least}x ${TITLES[against]}: lowest of ${met.length} is ${lowest.toFixed(2)}`;
    const below = slow.map((row) => `\n       ${row.ratio[against]!.toFixed(2)}  ${row.name}`).join('');
    const made = [{ text: each + below, passed: slow.length === 0 }];
    if (mean === undefined) return made;
    const got = geometricMean(met.map((row) => row.ratio[against]!));
    return [...made, { text: `${what}, geometric mean at least ${mean}x: ${got.toFixed(3)}`, passed: got >= mean }];
  });
}
