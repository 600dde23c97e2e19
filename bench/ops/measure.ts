// Takes turns at one trial.
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import type { Contender, Times } from './contenders.js';
import type { Trial } from './trial.js';

export interface Contenders {
  readonly libraries: Contender;
  readonly torch: Contender | undefined;
  readonly threads: number;
  /** Times every run by itself. */
  readonly alone?: boolean;
}

export type Name = 'tlora' | 'openblas' | 'onednn' | 'torch';

export interface Measured {
  readonly trial: Trial;
  /** Seconds of every turn. */
  readonly seconds: Readonly<Partial<Record<Name, readonly number[]>>>;
  /** Floating-point operations a second that one thread did at most between the turns, in registers alone. */
  readonly peak: number;
  /** The algorithm that oneDNN chose. */
  readonly algorithm?: string;
}

/** Active components of low-rank trials; other trials have no integer inputs. */
function activeOf({ torch }: Trial): number {
  return Number(torch?.active ?? 1);
}

/** Plans a trial's graph and gives it to the program, which makes up weights and inputs. */
export async function preparePlan(libraries: Contender, trial: Trial, threads: number): Promise<void> {
  const file = join(tmpdir(), `tlora-bench-${process.pid}.plan`);
  writeFileSync(file, encodePlan(makePlan(trial.graph, threads)));
  try {
    await libraries.ask(`plan ${file} ${activeOf(trial)}`);
  } finally {
    rmSync(file);
  }
}

/** One thread is timed by the processor time that it used, which other programs disturb less; several by the clock. */
export function secondsOf(times: Times, threads: number): number {
  return threads === 1 ? times.thread : times.wall;
}

const LONG_SECONDS = 0.5;
const SHORT_SECONDS = 0.005;

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Long trials get at least three turns but no more than they must, short ones four times as many. */
function turns(rounds: number, warm: number): number {
  if (warm > LONG_SECONDS) return Math.min(rounds, 3);
  return warm < SHORT_SECONDS ? 4 * rounds : rounds;
}

const ROW_SECONDS = 0.002;
const MOST_RUNS = 64;

/**
 * How often a contender runs in a row, by the time of the fastest one's warm-up. Products on several threads run for some 2 ms, because
 * a step calls one after the other: one of 50 µs by itself tells how long sleeping threads take to wake.
 */
function runsInRow(trial: Trial, threads: number, fastest: number): number {
  if (threads === 1 || trial.group !== 'gemm') return 1;
  return Math.max(1, Math.min(MOST_RUNS, Math.round(ROW_SECONDS / fastest)));
}

/** Every contender runs once to warm up, then `rounds` times in turns, short products several times a turn. */
export async function measure(
  trial: Trial,
  { libraries, torch, threads, alone = false }: Contenders,
  rounds: number,
): Promise<Measured> {
  await preparePlan(libraries, trial, threads);
  const answer = trial.library && (await libraries.ask(trial.library.request));
  const names: Name[] = ['tlora'];
  if (trial.library && answer !== false) names.push(trial.library.name);
  if (trial.torch && torch) {
    await torch.ask(JSON.stringify(trial.torch));
    names.push('torch');
  }
  const run = async (name: Name, runs: number): Promise<number> => {
    const times = name === 'torch' ? await torch!.ask('time') : await libraries.ask(`time ${name} ${runs}`);
    return secondsOf(times as Times, threads);
  };
  const warm: number[] = [];
  for (const name of names) warm.push(await run(name, 1));
  const runs = alone ? 1 : runsInRow(trial, threads, Math.min(...warm));
  const seconds = Object.fromEntries(names.map((name) => [name, [] as number[]]));
  let peak = 0;
  for (let i = turns(rounds, sum(warm)); i > 0; i--) {
    for (const name of names) seconds[name]!.push(await run(name, runs));
    peak = Math.max(peak, Number(await libraries.ask('peak')));
  }
  await libraries.ask('drop');
  await torch?.ask('drop');
  return { trial, seconds, peak, ...(typeof answer === 'string' ? { algorithm: answer } : {}) };
}

/** The turns of two measurements of one trial. */
export function together(a: Measured, b: Measured): Measured {
  const names = Object.keys(a.seconds) as Name[];
  const seconds = Object.fromEntries(names.map((name) => [name, [...a.seconds[name]!, ...b.seconds[name]!]]));
  return { ...a, seconds, peak: Math.max(a.peak, b.peak) };
}
