import { existsSync, readFileSync } from 'node:fs';
import { type WatchFigures, type WatchRecord, watchRecord } from './watchFigures.js';

/** A line of the log for a finished step. */
export interface LoggedStep {
  readonly step: number;
  readonly loss: number;
  readonly norm: number;
  readonly timesteps: readonly number[];
  readonly activeRanks: readonly number[];
  /** Of each sample, where a step has several. */
  readonly losses?: readonly number[];
  readonly stepMs: number;
}

/** How figures were taken: only those of the same settings can be compared. */
export interface WatchSettings {
  readonly draws: number;
  readonly samples: number;
  readonly prompt: string;
}

/** A line of the log for what was watched after a step; step 0 is the model without adapters. */
export interface LoggedWatch {
  readonly step: number;
  readonly watch: WatchFigures & { readonly settings: WatchSettings };
}

/** All lines of a run's log, each kind in the order of its steps. */
export interface RunLog {
  readonly steps: readonly LoggedStep[];
  readonly watches: readonly LoggedWatch[];
}

function parsedLine(line: string): Record<string, unknown>[] {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? [parsed as Record<string, unknown>] : [];
  } catch {
    return []; // cut off while being written
  }
}

/** Reads a log; there may be none. */
export function readRunLog(path: string): RunLog {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').flatMap(parsedLine) : [];
  const inOrder = <T extends { step: number }>(all: unknown[]): T[] =>
    (all as T[]).sort((one, other) => one.step - other.step);
  return {
    steps: inOrder(lines.filter((line) => typeof line.loss === 'number')),
    watches: inOrder(lines.filter((line) => 'watch' in line)),
  };
}

/** What was watched, beside the model without adapters: of the settings of the last line, without step 0. */
export function watchRecords({ watches }: RunLog): WatchRecord[] {
  const settings = JSON.stringify(watches.at(-1)?.watch.settings);
  const own = watches.filter(({ watch }) => JSON.stringify(watch.settings) === settings);
  const without = own.find(({ step }) => step === 0)?.watch;
  if (!without) return [];
  return own.flatMap(({ step, watch }) => (step > 0 ? [watchRecord(step, watch, without)] : []));
}
