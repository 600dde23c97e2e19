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

/** Long trials get at least three turns but no more than they must, short ones four times as many. */
function turns(rounds: number, warm: number): number {
  if (warm > LONG_SECONDS) return Math.min(rounds, 3);
  return warm < SHORT_SECONDS ? 4 * rounds : rounds;
}

/** Every contender runs once to warm up, then `rounds` times in turns. */
export async function measure(
  trial: Trial,
  { libraries, torch, threads }: Contenders,
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
  const run = async (name: Name): Promise<number> => {
    const times = name === 'torch' ? await torch!.ask('time') : await libraries.ask(`time ${name}`);
    return secondsOf(times as Times, threads);
  };
  let warm = 0;
  for (const name of names) warm += await run(name);
  const seconds = Object.fromEntries(names.map((name) => [name, [] as number[]]));
  let peak = 0;
  for (let i = turns(rounds, warm); i > 0; i--) {
    for (const name of names) seconds[name]!.push(await run(name));
    peak = Math.max(peak, Number(await libraries.ask('peak')));
  }
  await libraries.ask('drop');
  await torch?.ask('drop');
  return { trial, seconds, peak, ...(typeof answer === 'string' ? { algorithm: answer } : {}) };
}
