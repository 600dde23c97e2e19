// Processes that do a trial's work on request: tlora-bench-ops (our kernels, OpenBLAS, oneDNN) and a Python with PyTorch.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** Seconds of one run: by the clock, by processor time of the calling thread and of the whole process. */
export interface Times {
  readonly wall: number;
  readonly thread: number;
  readonly process: number;
}

export interface Contender {
  /** What it says about itself at the start. */
  readonly about: Readonly<Record<string, string>>;
  /** Sends a line and waits for the answer. */
  ask(request: string): Promise<unknown>;
  close(): void;
}

/** Settings that would make a library choose otherwise than it does by itself. */
const FOREIGN = /^(OPENBLAS_|BLIS_|MKL_NUM_THREADS$|DNNL_)/;

function environment(threads: number): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  return { OMP_WAIT_POLICY: 'passive', ...Object.fromEntries(own), OMP_NUM_THREADS: String(threads) };
}

async function open(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Contender> {
  const child: ChildProcess = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done) throw new Error(`${command} ended before it answered; its message is above`);
    return JSON.parse(line.value);
  };
  child.stdin!.on('error', () => {}); // the missing answer tells
  child.on('error', (error) => console.error(`${command}: ${error.message}`));
  return {
    about: (await answer()) as Record<string, string>,
    ask: (request) => {
      child.stdin!.write(`${request}\n`);
      return answer();
    },
    close: () => child.stdin!.end(),
  };
}

let program = '';

/** Builds tlora-bench-ops, once in a process. */
function builtProgram(): string {
  if (program !== '') return program;
  const folder = resolve(import.meta.dirname, '../../build/cmake');
  const build = spawnSync('cmake', ['--build', folder, '--config', 'Release', '--target', 'tlora-bench-ops'], {
    encoding: 'utf8',
  });
  if (build.status !== 0) throw new Error(build.error?.message ?? `${build.stdout}${build.stderr}`.trim());
  program = join(folder, 'Release', 'tlora-bench-ops');
  return program;
}

/** Our kernels and the libraries. Needs CMake and `npm run build:native` before. */
export function openLibraries(threads: number, openblas: string): Promise<Contender> {
  return open(builtProgram(), [String(threads), openblas], environment(threads));
}

/** PyTorch in the Python of TLORA_BENCH_PYTHON (default python3), or undefined where it has none. */
export async function openTorch(threads: number): Promise<Contender | undefined> {
  const python = process.env.TLORA_BENCH_PYTHON ?? 'python3';
  if (spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status !== 0) return undefined;
  const script = resolve(import.meta.dirname, '../against/pytorch/ops.py');
  return open(python, [script, String(threads)], environment(threads));
}
