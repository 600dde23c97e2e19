// The same work in PyTorch: a Python process that computes when it is asked to and else waits on its input.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type TensorToWrite, writeSafetensors } from '../../lib/io/safetensors.js';
import type { Timed } from '../times.js';
import { BENCH_FOLDER } from './model.js';

export interface OpponentOptions {
  /** In bench/against/pytorch. */
  readonly script: 'step.py' | 'generate.py';
  /** Options of the script. */
  readonly flags: Readonly<Record<string, string>>;
  /** Everything beside the model. */
  readonly data: readonly TensorToWrite[];
}

export interface Opponent<T extends Timed> {
  /** Version and instruction sets. */
  readonly about: string;
  readonly steps: (count: number) => Promise<T[]>;
  /** Another request by its name. */
  ask(request: string): Promise<unknown>;
  /** Most resident memory so far; null where the system does not tell. */
  readonly peakBytes: () => number | null;
  close(): void;
}

/** Settings that would make a library of the opponent choose otherwise than it does by itself. */
const FOREIGN = /^(OPENBLAS_|BLIS_|OMP_NUM_THREADS$|MKL_NUM_THREADS$)/;

/**
 * OpenMP's threads sleep at barriers unless OMP_WAIT_POLICY says otherwise: where other programs run they would else spin while the
 * thread that they wait for has no core, which was seen to cost a factor of 50 on small steps.
 */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  return { OMP_WAIT_POLICY: 'passive', ...Object.fromEntries(own) };
}

/** Finds a Python that has what the opponent needs. @throws Error that says what is missing */
export function findPython(): string {
  const python = process.env.TLORA_BENCH_PYTHON ?? 'python3';
  const { status, error, stderr } = spawnSync(python, ['-c', 'import torch, safetensors'], { encoding: 'utf8' });
  if (status === 0) return python;
  const missing = error ? error.message : (stderr.trim().split('\n').at(-1) ?? `exit status ${status}`);
  throw new Error(
    `--against pytorch needs a Python with torch and safetensors; ${python}: ${missing}. Name one in TLORA_BENCH_PYTHON.`,
  );
}

/** Starts a script and waits until it has loaded the model and the data. */
export async function openOpponent<T extends Timed>({ script, flags, data }: OpponentOptions): Promise<Opponent<T>> {
  const python = findPython();
  mkdirSync(BENCH_FOLDER, { recursive: true });
  const file = join(BENCH_FOLDER, `inputs-${process.pid}.safetensors`);
  try {
    await writeSafetensors(file, data);
    const path = fileURLToPath(new URL(`../against/pytorch/${script}`, import.meta.url));
    const child = spawn(
      python,
      [path, ...Object.entries({ ...flags, data: file }).flatMap(([k, v]) => [`--${k}`, v])],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: environment(),
      },
    );
    const answer = answers(child);
    return talk(child, answer, (await answer()) as { torch: string; cpu: string });
  } finally {
    rmSync(file, { force: true });
  }
}

function talk<T extends Timed>(
  child: ChildProcess,
  answer: () => Promise<unknown>,
  { torch, cpu }: { torch: string; cpu: string },
): Opponent<T> {
  let peak: number | null = null;
  const ask = (request: string): Promise<unknown> => {
    child.stdin!.write(`${request}\n`);
    return answer();
  };
  return {
    about: `PyTorch ${torch}, ${cpu}, OpenMP waits ${environment().OMP_WAIT_POLICY}`,
    steps: async (count) => {
      const { steps, peakBytes } = (await ask(String(count))) as { steps: T[]; peakBytes: number | null };
      peak = peakBytes;
      return steps;
    },
    ask,
    peakBytes: () => peak,
    close: () => child.stdin!.end(),
  };
}

/** The next JSON line of a process; an error once it has ended. */
function answers(child: ChildProcess): () => Promise<unknown> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return async () => {
    const line = await lines.next();
    if (line.done) throw new Error('the PyTorch process ended before it answered; its message is above');
    return JSON.parse(line.value);
  };
}
