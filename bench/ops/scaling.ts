// How much several threads bring: single kernels and a whole training step, from one thread to all cores, taken in turns.
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { randomModel, STEP_SHAPES } from '../step/model.js';
import { openOurStep } from '../step/ours.js';
import { median } from '../times.js';
import { openLibraries, type Times } from './contenders.js';
import { preparePlan } from './measure.js';
import { attentionTrial, convTrial, linearTrial, lowRankTrial, type Trial } from './trial.js';

export const SCALING_USAGE: string = `npm run bench -- scaling [options]
  --threads LIST  numbers of threads, such as 1,2,4; default: powers of two up to all cores
  --rounds N      turns of each after one to warm up; default 7
  --shape NAME    ${Object.keys(STEP_SHAPES).join(', ')}: of the whole step; default tiny
  --json          one JSON object instead of a table
Fails if a number of threads gives other bits in another run.`;

/** Runs once, or several times in a row, and tells how long one took, by the clock and in processor time of all threads, in seconds, and what came out. */
interface Runner {
  run(): Promise<{ wall: number; processor: number }>;
  /** The same for the same results. */
  bits(): Promise<string>;
  close(): void;
}

interface Row {
  readonly name: string;
  readonly threads: number;
  readonly best: number;
  readonly median: number;
  /** Time on one thread by this one's, over the number of threads. */
  readonly efficiency: number;
  /** Processor time by that of one thread: what threads cost, also seen where other programs take the cores. */
  readonly processor: number;
  /** Two runs gave the same bits; so did one thread. */
  readonly repeats: boolean;
  readonly asOneThread: boolean;
}

function trials(): Trial[] {
  return [
    linearTrial({ label: 'linear', rows: 1024, from: 1280, to: 1280, wanted: 'y' }),
    linearTrial({ label: 'context', rows: 77, from: 2048, to: 1280, wanted: 'y' }),
    convTrial({ side: 64, from: 320, to: 320, window: 3, stride: 1, direction: 'forward' }),
    convTrial({ side: 8, from: 1280, to: 1280, window: 3, stride: 1, direction: 'backward' }),
    attentionTrial({ tokens: 4096, keys: 4096, heads: 8, channels: 320, direction: 'forward' }),
    attentionTrial({ tokens: 1024, keys: 1024, heads: 20, channels: 1280, direction: 'backward' }),
    lowRankTrial({ tokens: 1024, from: 1280, to: 1280, rank: 64, active: 48, direction: 'backward' }),
  ];
}

/**
 * A turn runs short kernels in a row for some 30 ms, and several short steps: the system may count the processor time of threads that still run
 * up to 4 ms late.
 */
const TURN_SECONDS = 0.03;
const SHORT_STEPS_IN_TURN = 5;
const SHORT_SHAPES: readonly string[] = ['tiny', 'mini'];

async function kernelRunner(trial: Trial, threads: number): Promise<Runner> {
  const program = await openLibraries(threads, 'libopenblas.so.0');
  await preparePlan(program, trial, threads);
  const { wall: warm } = (await program.ask('time tlora')) as Times;
  const runs = Math.max(1, Math.round(TURN_SECONDS / warm));
  return {
    run: async () => {
      const { wall, process } = (await program.ask(`time tlora ${runs}`)) as Times;
      return { wall, processor: process };
    },
    bits: async () => String(await program.ask('bits')),
    close: () => program.close(),
  };
}

/** Bits of a step: the losses of all its runs so far, which hold every update of the adapters. */
async function stepRunner(shape: keyof typeof STEP_SHAPES, threads: number): Promise<Runner> {
  const { shape: model, resolution, rank } = STEP_SHAPES[shape];
  const step = await openOurStep({ model: randomModel(model), resolution, rank, threads });
  const losses: number[] = [];
  const steps = SHORT_SHAPES.includes(shape) ? SHORT_STEPS_IN_TURN : 1;
  return {
    run: async () => {
      const times = { wall: 0, processor: 0 };
      for (let i = 0; i < steps; i++) {
        const { ms, cpuMs, loss } = await step.step();
        losses.push(loss);
        times.wall += ms / 1000 / steps;
        times.processor += cpuMs / 1000 / steps;
      }
      return times;
    },
    bits: async () => losses.join(),
    close: () => step.dispose(),
  };
}

interface Turns {
  readonly wall: number[];
  readonly processor: number[];
}

/** Two runners for each number of threads: one is timed, the other only has to come to the same bits. */
async function compare(
  name: string,
  open: (threads: number) => Promise<Runner>,
  counts: readonly number[],
  rounds: number,
): Promise<Row[]> {
  const pairs: (readonly [Runner, Runner])[] = [];
  const times: Turns[] = counts.map(() => ({ wall: [], processor: [] }));
  const bits: (readonly [string, string])[] = [];
  try {
    for (const threads of counts) pairs.push([await open(threads), await open(threads)]);
    for (let round = -1; round < rounds; round++) {
      for (const [i, [runner]] of pairs.entries()) {
        const { wall, processor } = await runner.run();
        if (round < 0) continue;
        times[i]!.wall.push(wall);
        times[i]!.processor.push(processor);
      }
    }
    for (const [, second] of pairs) for (let i = -1; i < rounds; i++) await second.run();
    for (const [first, second] of pairs) bits.push([await first.bits(), await second.bits()]);
  } finally {
    for (const runner of pairs.flat()) runner.close();
  }
  const one = { wall: Math.min(...times[0]!.wall), processor: Math.min(...times[0]!.processor) };
  return counts.map((threads, i) => {
    const best = Math.min(...times[i]!.wall);
    return {
      name,
      threads,
      best,
      median: median(times[i]!.wall),
      efficiency: (one.wall * counts[0]!) / (best * threads),
      processor: Math.min(...times[i]!.processor) / one.processor,
      repeats: bits[i]![0] === bits[i]![1],
      asOneThread: bits[i]![0] === bits[0]![0],
    };
  });
}

function powersOfTwo(): number[] {
  const cores = availableParallelism();
  const powers = [1, 2, 4, 8, 16, 32, 64, 128].filter((n) => n < cores);
  return [...powers, cores];
}

function table(rows: readonly Row[]): string {
  const head = [
    'work',
    'threads',
    'ms (median)',
    'efficiency',
    'processor time',
    'bits of two runs',
    'bits of one thread',
  ];
  const lines = rows.map((row) => [
    row.name,
    row.threads,
    `${(row.best * 1e3).toFixed(2)} (${(row.median * 1e3).toFixed(2)})`,
    row.efficiency.toFixed(2),
    row.processor.toFixed(2),
    row.repeats ? 'equal' : 'DIFFER',
    row.asOneThread ? 'equal' : 'differ',
  ]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** @throws Error if equal numbers of threads gave different bits */
export async function benchScaling(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: 'string' },
      rounds: { type: 'string', default: '7' },
      shape: { type: 'string', default: 'tiny' },
      json: { type: 'boolean', default: false },
    },
  });
  const counts = values.threads?.split(',').map(Number) ?? powersOfTwo();
  const shape = Object.keys(STEP_SHAPES).find((name) => name === values.shape) as keyof typeof STEP_SHAPES | undefined;
  if (!shape) throw new Error(`--shape: expected ${Object.keys(STEP_SHAPES).join(', ')}, got ${values.shape}`);
  const rows: Row[] = [];
  for (const trial of trials()) {
    rows.push(
      ...(await compare(`${trial.group} ${trial.name}`, (n) => kernelRunner(trial, n), counts, Number(values.rounds))),
    );
  }
  rows.push(...(await compare(`${shape} step`, (n) => stepRunner(shape, n), counts, Number(values.rounds))));
  const load = loadavg()[0]!.toFixed(1);
  console.log(values.json ? JSON.stringify({ load, rows }) : `${table(rows)}\nload of the machine: ${load}`);
  if (rows.some((row) => !row.repeats)) throw new Error('equal numbers of threads gave different bits');
}
