// Several programs that do the same steps take turns, so that whatever else the machine does meets them all.
import { setTimeout as sleep } from 'node:timers/promises';
import { showMs, type Timed } from './times.js';

/** Runs steps and gives them in order. */
export type Steps<T extends Timed> = (count: number) => Promise<T[]>;

/** Steps of a program that does one when it is called. */
export function oneByOne<T extends Timed>(step: () => Promise<T>): Steps<T> {
  return async (count) => {
    const done: T[] = [];
    for (let i = 0; i < count; i++) done.push(await step());
    return done;
  };
}

/** A turn takes about this long, so that steps of milliseconds are not measured one by one. */
const TURN_MS = 300;
/** Before a turn: long enough for the other's threads to stop looking for work. */
const PAUSE_MS = 50;

/** Steps of a turn when the slowest program's step takes `slowestMs`: 1 to 100. */
export function stepsPerTurn(slowestMs: number): number {
  return Math.min(100, Math.max(1, Math.round(TURN_MS / slowestMs)));
}

/** Steps of each round when there are `total` in all. */
export function turnCounts(total: number, perTurn: number): number[] {
  const rounds = Math.ceil(total / perTurn);
  return Array.from({ length: rounds }, (_, round) => Math.min(perTurn, total - round * perTurn));
}

/** Who goes when in a round, by index: forwards, then backwards. */
export function turnOrder(programs: number, round: number): number[] {
  return Array.from({ length: programs }, (_, i) => (round % 2 === 0 ? i : programs - 1 - i));
}

/** All steps of each program, in the programs' order; `counts` are the steps of the rounds. Tells of each round on standard error. */
export async function takeTurns<T extends Timed>(all: readonly Steps<T>[], counts: readonly number[]): Promise<T[][]> {
  const steps: T[][] = all.map(() => []);
  for (const [round, count] of counts.entries()) {
    for (const i of turnOrder(all.length, round)) {
      await sleep(PAUSE_MS);
      steps[i]!.push(...(await all[i]!(count)));
    }
    const last = steps.map((done) => showMs(done.at(-1)!.ms)).join(', PyTorch ');
    console.error(`round ${round + 1} of ${counts.length}: tlora ${last}`);
  }
  return steps;
}
