// The matrix product against OpenBLAS, taken in turns in one process by the program tlora-bench-gemm.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '../times.js';

export const GEMM_USAGE = `npm run bench -- gemm [options]
  --threads N    default 2. One thread is timed by processor time, several by the clock
  --rounds N     turns of each after one to warm up; default 15
  --only TEXT    only shapes whose name contains this
  --least RATIO  fail if ours, at its best, is below this share of OpenBLAS at its best on any shape
  --library PATH OpenBLAS; default libopenblas.so.0 (Debian: libopenblas0-pthread)
  --json         one JSON object instead of a table
TLORA_CPU=portable|avx2 times a slower path.`;

interface Timed {
  readonly name: string;
  readonly flops: number;
  /** Seconds of every round. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

interface Machine {
  readonly cpu: string;
  readonly opponent: string;
  readonly threads: number;
}

interface Row {
  readonly name: string;
  /** GFLOP/s. */
  readonly oursBest: number;
  readonly oursMedian: number;
  readonly theirsBest: number;
  readonly theirsMedian: number;
  /** Best against best, and the median of the rounds' ratios; above 1 is faster than OpenBLAS. */
  readonly ratio: number;
  readonly pairedRatio: number;
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}

function rowOf({ name, flops, ours, theirs }: Timed): Row {
  const speed = (seconds: number): number => flops / seconds / 1e9;
  const best = [Math.min(...ours), Math.min(...theirs)] as const;
  return {
    name,
    oursBest: speed(best[0]),
    oursMedian: speed(median(ours)),
    theirsBest: speed(best[1]),
    theirsMedian: speed(median(theirs)),
    ratio: best[1] / best[0],
    pairedRatio: median(theirs.map((seconds, i) => seconds / ours[i]!)),
  };
}

function table(rows: readonly Row[]): string {
  const line = (name: string, cells: readonly string[]): string =>
    name.padEnd(32) + cells.map((cell) => cell.padStart(9)).join('');
  const head = line('GFLOP/s', ['ours', '(median)', 'OpenBLAS', '(median)', 'ratio', 'paired']);
  const body = rows.map((r) =>
    line(r.name, [
      ...[r.oursBest, r.oursMedian, r.theirsBest, r.theirsMedian].map((v) => v.toFixed(1)),
      ...[r.ratio, r.pairedRatio].map((v) => v.toFixed(2)),
    ]),
  );
  return [head, ...body].join('\n');
}

/** Output of a program, or an error that carries what it said. */
function output(command: string, args: readonly string[]): string {
  const { OPENBLAS_CORETYPE: _core, OPENBLAS_L2_SIZE: _cache, ...env } = process.env; // the opponent chooses freely
  const run = spawnSync(command, args, { encoding: 'utf8', env, maxBuffer: 1 << 26 });
  if (run.status === 0) return run.stdout;
  throw new Error(`${command} ${args.join(' ')}: ${run.error?.message ?? `${run.stderr}${run.stdout}`.trim()}`);
}

/**
 * Builds and runs the comparison. Needs `npm run build:native` with CMake before, and OpenBLAS.
 * @throws if a shape stays below --least
 */
export function benchGemm(args: readonly string[]): void {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '15' },
      only: { type: 'string', default: '' },
      least: { type: 'string', default: '0' },
      library: { type: 'string', default: 'libopenblas.so.0' },
      json: { type: 'boolean', default: false },
    },
  });
  const folder = resolve(import.meta.dirname, '../../build/cmake');
  output('cmake', ['--build', folder, '--config', 'Release', '--target', 'tlora-bench-gemm']);
  const program = join(folder, 'Release', 'tlora-bench-gemm');
  const lines = output(program, [values.library, values.threads, values.rounds, values.only]).trim().split('\n');
  const machine = JSON.parse(lines[0]!) as Machine;
  const rows = lines.slice(1).map((line) => rowOf(JSON.parse(line) as Timed));
  if (rows.length === 0) throw new Error(`--only: no shape is called ${values.only}`);
  const mean = geometricMean(rows.map((r) => r.ratio));
  if (values.json) console.log(JSON.stringify({ ...machine, rows, geometricMean: mean }));
  else {
    console.log(`${machine.cpu}, ${machine.threads} threads, against ${machine.opponent}\n${table(rows)}`);
    console.log(`geometric mean of the ratios: ${mean.toFixed(2)}`);
  }
  const slow = rows.filter((r) => r.ratio < Number(values.least));
  if (slow.length > 0) throw new Error(`below ${values.least} of OpenBLAS: ${slow.map((r) => r.name).join(', ')}`);
}
