// 3x3 convolutions: the product over patches against Winograd's filtering against PyTorch, taking turns. Each is a process
// that computes when it is asked to and else waits.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

export const CONV_USAGE = `npm run bench -- conv [options]
  --threads N    default 1, timed by processor time; several by the clock
  --rounds N     turns of each after one to warm up; default 7
  --only TEXT    only shapes whose name contains this, such as "16x16" or "dx"
  --against NAME pytorch (default if TLORA_BENCH_PYTHON names a Python that has it) or none
  --json         one JSON object instead of a table
Shapes are SD 1.5's at 512x512. Seconds are the best of all rounds; PyTorch's the better of its two layouts.
TLORA_CPU=portable|avx2 times a slower path.`;

/** Side of the picture, channels, outputs. */
const SHAPES = [
  [64, 320, 320],
  [64, 640, 320],
  [64, 960, 320],
  [32, 640, 640],
  [32, 1280, 640],
  [32, 1920, 640],
  [16, 1280, 1280],
  [16, 2560, 1280],
  [8, 1280, 1280],
  [8, 2560, 1280],
] as const;

interface Timer {
  readonly about: string;
  /** Seconds of one run. */
  time(request: string): Promise<number>;
  close(): void;
}

interface Row {
  readonly name: string;
  /** Of the direct product. */
  readonly flops: number;
  /** Seconds, best of all rounds. */
  readonly direct: number;
  readonly winograd: number;
  readonly pytorch: number | null;
}

async function openTimer(command: string, args: readonly string[]): Promise<Timer> {
  const child: ChildProcess = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done) throw new Error(`${command} ended before it answered; its message is above`);
    return JSON.parse(line.value);
  };
  return {
    about: String(await answer()),
    time: async (request) => {
      child.stdin!.write(`${request}\n`);
      return Number(await answer());
    },
    close: () => child.stdin!.end(),
  };
}

function openOurs(threads: string): Promise<Timer> {
  const folder = resolve(import.meta.dirname, '../../build/cmake');
  const build = ['--build', folder, '--config', 'Release', '--target', 'tlora-bench-conv'];
  const { status, stderr, stdout } = spawnSync('cmake', build, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cmake ${build.join(' ')}: ${stderr}${stdout}`);
  return openTimer(join(folder, 'Release', 'tlora-bench-conv'), [threads]);
}

async function timeShape(
  name: string,
  request: string,
  rounds: number,
  ours: Timer,
  torch: Timer | null,
): Promise<number[]> {
  const ways: readonly (readonly [Timer, string])[] = [
    [ours, `${request} direct`],
    [ours, `${request} winograd`],
    ...(torch
      ? ([
          [torch, `${request} nchw`],
          [torch, `${request} nhwc`],
        ] as const)
      : []),
  ];
  const best = ways.map(() => Infinity);
  for (let round = -1; round < rounds; round++) {
    for (const [i, [timer, line]] of ways.entries()) {
      const seconds = await timer.time(line);
      if (round >= 0) best[i] = Math.min(best[i]!, seconds);
    }
  }
  if (best.some((seconds) => !(seconds > 0))) throw new Error(`${name}: a run took no time`);
  return best;
}

function table(rows: readonly Row[]): string {
  const line = (name: string, cells: readonly string[]): string =>
    name.padEnd(24) + cells.map((cell) => cell.padStart(10)).join('');
  const head = line('GFLOP/s as if direct', ['direct', 'Winograd', 'ratio', 'PyTorch', 'ratio']);
  const body = rows.map(({ name, flops, direct, winograd, pytorch }) =>
    line(name, [
      (flops / direct / 1e9).toFixed(1),
      (flops / winograd / 1e9).toFixed(1),
      (direct / winograd).toFixed(2),
      ...(pytorch === null ? [] : [(flops / pytorch / 1e9).toFixed(1), (pytorch / winograd).toFixed(2)]),
    ]),
  );
  return [head, ...body].join('\n');
}

/**
 * Builds and runs the comparison. Needs `npm run build:native` with CMake before.
 * @throws if a program cannot be built or started
 */
export async function benchConv(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '7' },
      only: { type: 'string', default: '' },
      against: { type: 'string', default: process.env.TLORA_BENCH_PYTHON ? 'pytorch' : 'none' },
      json: { type: 'boolean', default: false },
    },
  });
  const ours = await openOurs(values.threads);
  const script = resolve(import.meta.dirname, '../against/pytorch/conv.py');
  const python = process.env.TLORA_BENCH_PYTHON ?? 'python3';
  const torch = values.against === 'pytorch' ? await openTimer(python, [script, values.threads]) : null;
  const rows: Row[] = [];
  for (const [side, channels, outs] of SHAPES) {
    for (const direction of ['forward', 'data'] as const) {
      const name = `${side}x${side} ${channels} to ${outs} ${direction === 'data' ? 'dx' : 'y'}`;
      if (!name.includes(values.only)) continue;
      const request = `${side} ${channels} ${outs} ${direction}`;
      const [direct, winograd, ...theirs] = await timeShape(name, request, Number(values.rounds), ours, torch);
      const flops = 18 * side * side * channels * outs;
      rows.push({ name, flops, direct: direct!, winograd: winograd!, pytorch: torch ? Math.min(...theirs) : null });
    }
  }
  ours.close();
  torch?.close();
  if (rows.length === 0) throw new Error(`--only: no shape is called ${values.only}`);
  const machine = { cpu: ours.about, opponent: torch?.about ?? null, threads: Number(values.threads) };
  if (values.json) console.log(JSON.stringify({ ...machine, rows }));
  else console.log(`${machine.cpu}, ${machine.threads} threads, ${machine.opponent ?? 'no opponent'}\n${table(rows)}`);
}
