import { ConfigError } from '../errors.js';

/** How many components of an adapter are active at a timestep; the same for every layer. */
export interface RankSchedule {
  /** Number of training timesteps of the model. */
  readonly T: number;
  /** Rank at t = 0, the adapter's full rank. */
  readonly maxRank: number;
  /** Rank at t = T. */
  readonly minRank: number;
  /** Exponent; 1 is the paper's linear schedule. */
  readonly alpha: number;
}

function requireCount(name: string, value: number, min: number): void {
  if (!Number.isSafeInteger(value) || value < min) {
    throw new ConfigError(`[rank schedule] ${name}: expected an integer of at least ${min}, got ${value}`);
  }
}

/** @throws ConfigError naming the first value that cannot be used */
export function validateRankSchedule(schedule: RankSchedule): void {
  requireCount('T', schedule.T, 1);
  requireCount('rank', schedule.maxRank, 1);
  requireCount('minRank', schedule.minRank, 0);
  if (schedule.minRank > schedule.maxRank) {
    throw new ConfigError(
      `[rank schedule] minRank: expected at most the rank, ${schedule.maxRank}, got ${schedule.minRank}`,
      { hint: 'Lower minRank or raise rank; the default for minRank is half the rank.' },
    );
  }
  if (!(schedule.alpha > 0 && Number.isFinite(schedule.alpha))) {
    throw new ConfigError(`[rank schedule] alpha: expected a finite number above 0, got ${schedule.alpha}`);
  }
}

/**
 * r(t) = int(((T − t)/T)^alpha · (maxRank − minRank)) + minRank, in float64 and in this order: another order gives
 * another integer at some t (arXiv 2507.05964 and its released code).
 * @param t timestep in [0, T], fractional where a sampler's is
 * @throws ConfigError if t is outside
 */
export function activeRank(schedule: RankSchedule, t: number): number {
  const { T, maxRank, minRank, alpha } = schedule;
  if (!(t >= 0 && t <= T)) throw new ConfigError(`[rank schedule] t: expected a number from 0 to ${T}, got ${t}`);
  return Math.trunc(((T - t) / T) ** alpha * (maxRank - minRank)) + minRank;
}

const plotRows = 8;
const eighths = ' ▁▂▃▄▅▆▇█';

/** One column per stretch of timesteps, its height the rank at the stretch's first t, in eighths of a row. */
function plot(schedule: RankSchedule, width: number): string[] {
  const { T, maxRank, minRank } = schedule;
  const columns = Math.min(width, T);
  const ranks = Array.from({ length: columns }, (_, c) => activeRank(schedule, Math.floor((c * T) / columns)));
  const margin = Math.max(String(maxRank).length, 'r(t)'.length);
  const rows = Array.from({ length: plotRows }, (_, row) => {
    const below = (plotRows - 1 - row) * 8;
    const bar = (r: number): string =>
      eighths[Math.max(0, Math.min(8, Math.round((r / maxRank) * plotRows * 8) - below))]!;
    const label = row === 0 ? String(maxRank) : row === plotRows - 1 ? 'r(t)' : '';
    return `${label.padStart(margin)} │${ranks.map(bar).join('')}`.trimEnd();
  });
  const right = `${T - 1}`;
  const axis = `${' '.repeat(margin)}  t = 0${right.padStart(Math.max(right.length + 1, columns - 'T = 0'.length))}`;
  const title = `rank ${maxRank}, minimum ${minRank}, alpha ${schedule.alpha}, T = ${T}`;
  return [title, '', ...rows, `${' '.repeat(margin)} └${'─'.repeat(columns)}`, axis];
}

function table(schedule: RankSchedule): string[] {
  const { T } = schedule;
  const quarters = [1, 2, 3].map((part) => Math.floor((part * T) / 4));
  const shown = [...new Set([0, Math.min(1, T - 1), ...quarters, T - 1])].sort((a, b) => a - b);
  const cells = shown.map((t) => [String(t), String(activeRank(schedule, t))] as const);
  const widths = cells.map(([t, r]) => Math.max(t.length, r.length));
  const line = (name: string, which: 0 | 1): string =>
    `${name.padEnd(5)}${cells.map((cell, i) => cell[which].padStart(widths[i]! + 2)).join('')}`;
  return [line('t', 0), line('r(t)', 1)];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function wrap(values: readonly number[], width: number): string[] {
  const lines: string[] = [];
  for (const value of values) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + String(value).length > width) lines.push(`  ${value}`);
    else lines[lines.length - 1] = `${last} ${value}`;
  }
  return lines;
}

/** Ranks of a sampler with leading spacing and steps_offset 1, from the first step (most noise) to the last. */
export function samplerRanks(schedule: RankSchedule, steps: number): number[] {
  const ratio = Math.floor(schedule.T / steps);
  return Array.from({ length: steps }, (_, i) => activeRank(schedule, (steps - 1 - i) * ratio + 1));
}

/**
 * What `tlora schedule` prints: a plot of r(t), a table, the mean rank and the ranks of a 25-step sampler.
 * @param width columns of the plot, at least 16
 * @throws ConfigError if the schedule is not valid
 */
export function drawRankSchedule(schedule: RankSchedule, width = 64): string {
  validateRankSchedule(schedule);
  const columns = Math.max(16, Math.floor(width));
  const steps = Math.min(25, Math.max(1, schedule.T - 1));
  const ranks = samplerRanks(schedule, steps);
  const all = Array.from({ length: schedule.T }, (_, t) => activeRank(schedule, t));
  const full = all.filter((r) => r === schedule.maxRank).length;
  return [
    ...plot(schedule, columns),
    '',
    ...table(schedule),
    '',
    `mean r over all t: ${mean(all).toFixed(2)}`,
    `full rank at ${full} of ${schedule.T} timesteps`,
    `${steps} sampling steps (leading), mean r ${mean(ranks).toFixed(1)}:`,
    ...wrap(ranks, columns + 6),
    '',
  ].join('\n');
}
