// Times of steps: what is made of several, and how they are shown.
import { readFileSync } from 'node:fs';
import { formatBytes } from '../lib/plan/byteSize.js';

/** One of several steps. */
export interface Timed {
  readonly ms: number;
  /** Processor time of all threads: on a busy machine the fairer of the two. */
  readonly cpuMs: number;
}

export interface Times {
  readonly bestMs: number;
  readonly medianMs: number;
  /** Median processor time. */
  readonly cpuMs: number;
}

/** A program's times, and the most memory that it had; null where the system does not tell. */
export interface Measured extends Times {
  readonly peakBytes: number | null;
}

/** Times of one program by those of another. */
export interface Ratio {
  readonly best: number;
  readonly median: number;
  readonly cpu: number;
}

/** The middle value, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function timesOf(steps: readonly Timed[]): Times {
  const walls = steps.map((step) => step.ms);
  return { bestMs: Math.min(...walls), medianMs: median(walls), cpuMs: median(steps.map(({ cpuMs }) => cpuMs)) };
}

/** Above 1: the second is faster. */
export function ratioOf(theirs: Times, ours: Times): Ratio {
  return {
    best: theirs.bestMs / ours.bestMs,
    median: theirs.medianMs / ours.medianMs,
    cpu: theirs.cpuMs / ours.cpuMs,
  };
}

/** |a − b| / |b|, Euclidean norms; NaN unless the lengths are equal. */
export function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let squares = a.length === b.length ? 0 : Number.NaN;
  let total = 0;
  for (let i = 0; i < b.length; i++) {
    squares += (a[i]! - b[i]!) ** 2;
    total += b[i]! ** 2;
  }
  return Math.sqrt(squares / total);
}

/** Runs one step and takes its times. */
export async function timed<T>(step: () => Promise<T>): Promise<Timed & { readonly result: T }> {
  const begin = performance.now();
  const cpu = process.cpuUsage();
  const result = await step();
  const { user, system } = process.cpuUsage(cpu);
  return { ms: performance.now() - begin, cpuMs: (user + system) / 1000, result };
}

/** The most memory that this process had at once; null where the system does not tell. */
export function ownPeakBytes(): number | null {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return match ? Number(match[1]) * 1024 : null;
  } catch {
    return null;
  }
}

/** A time with its unit. */
export const showMs = (time: number): string =>
  time < 100 ? `${time.toFixed(2)} ms` : `${(time / 1000).toFixed(2)} s`;

/** A line of a table: name, times, speed and memory of a step of `flops` operations. */
export function timeLine(name: string, { bestMs, medianMs, cpuMs, peakBytes }: Measured, flops: number): string {
  const speed = `${(flops / medianMs / 1e6).toFixed(0)} GFLOP/s`;
  const peak = peakBytes === null ? '' : `peak memory ${formatBytes(peakBytes)}`;
  const times = [`best ${showMs(bestMs)}`, `median ${showMs(medianMs)}`, `processor ${showMs(cpuMs)}`];
  return [name.padEnd(8), ...times.map((time) => time.padEnd(20)), speed.padEnd(14), peak].join(' ').trimEnd();
}

export function ratioLine({ best, median: middle, cpu }: Ratio): string {
  return `PyTorch / tlora: best ${best.toFixed(2)}×, median ${middle.toFixed(2)}×, processor ${cpu.toFixed(2)}×`;
}
