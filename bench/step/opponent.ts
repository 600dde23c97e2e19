// The same step in PyTorch: a Python process that computes when it is asked to and else waits on its input.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TimedStep } from './ours.js';

export type OpponentStyle = 'sdpa' | 'reference';

export interface OpponentOptions {
  readonly model: string;
  /** Safetensors file with everything beside the model. */
  readonly data: string;
  readonly style: OpponentStyle;
  readonly layout: 'nchw' | 'nhwc';
  readonly threads: number;
}

export interface Opponent {
  /** Version and instruction sets. */
  readonly about: string;
  steps(count: number): Promise<TimedStep[]>;
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

/** Starts the opponent and waits until it has loaded the model. */
export async function openOpponent(options: OpponentOptions): Promise<Opponent> {
  const script = fileURLToPath(new URL('../against/pytorch/step.py', import.meta.url));
  const { model, data, style, layout, threads } = options;
  const flags = { model, data, style, layout, threads: String(threads) };
  const child = spawn(findPython(), [script, ...Object.entries(flags).flatMap(([k, v]) => [`--${k}`, v])], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: environment(),
  });
  const answer = answers(child);
  const { torch, cpu } = (await answer()) as { torch: string; cpu: string };
  let peak: number | null = null;
  return {
    about: `PyTorch ${torch}, ${cpu}, OpenMP waits ${environment().OMP_WAIT_POLICY}`,
    steps: async (count) => {
      child.stdin!.write(`${count}\n`);
      const { steps, peakBytes } = (await answer()) as { steps: TimedStep[]; peakBytes: number | null };
      peak = peakBytes;
      return steps;
    },
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
