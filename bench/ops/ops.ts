// Our kernels against OpenBLAS, oneDNN and PyTorch, at all sizes of SD 1.5 and SDXL.
import { parseArgs } from 'node:util';
import { openLibraries, openTorch } from './contenders.js';
import { type Contenders, type Measured, measure, together } from './measure.js';
import { gates, missesGate, type Row, rowOf, table } from './report.js';
import { TRIALS } from './shapes.js';
import { GROUPS, type Group, type Trial } from './trial.js';

export const OPS_USAGE: string = `npm run bench -- ops [options]
  --only GROUP     ${GROUPS.join(', ')}; default all
  --shape TEXT     only shapes whose name contains this
  --threads N      default 2. One thread is timed by processor time, several by the clock
  --rounds N       turns of each after one to warm up; default 5 (3 where one takes long, four times as many where it is short)
  --alone          times every run by itself; otherwise products on several threads run in a row for some 2 ms, as in a step
  --openblas PATH  default libopenblas.so.0
  --gates          fail unless all gates pass; a shape that misses one is measured again, twice at most, and all its turns count
  --json           one JSON object instead of tables
oneDNN takes part where its headers were installed when the program was built, PyTorch where TLORA_BENCH_PYTHON (default python3)
has it. TLORA_CPU=portable|avx2 times a slower path of ours, TLORA_WINOGRAD=0 convolutions without minimal filtering.`;

function chosen(only: string | undefined): readonly Group[] {
  if (only === undefined) return GROUPS;
  const groups = only.split(',').map((word) => {
    const group = GROUPS.find((name) => name === word);
    if (!group) throw new Error(`--only: expected ${GROUPS.join(', ')}, got ${word}`);
    return group;
  });
  return groups;
}

/** @throws Error with --gates if one fails, or if a contender ends early */
export async function benchOps(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      shape: { type: 'string', default: '' },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '5' },
      alone: { type: 'boolean', default: false },
      openblas: { type: 'string', default: 'libopenblas.so.0' },
      gates: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const threads = Number(values.threads);
  const groups = chosen(values.only);
  const libraries = await openLibraries(threads, values.openblas);
  const torch = groups.every((group) => group === 'gemm') ? undefined : await openTorch(threads);
  const contenders = { libraries, torch, threads, alone: values.alone };
  const rows: Row[] = [];
  try {
    const head = [
      `${libraries.about.cpu}`,
      `${threads} threads`,
      torch ? `PyTorch ${torch.about.torch}, ${torch.about.cpu}` : 'no PyTorch',
    ];
    if (!values.json) console.log(head.join(', '));
    for (const group of groups) {
      const trials = TRIALS[group]().filter((trial) => trial.name.includes(values.shape));
      const measured: Row[] = [];
      for (const trial of trials) {
        measured.push(rowOf(await measureUntil(trial, contenders, Number(values.rounds), values.gates ? 2 : 0)));
      }
      if (measured.length > 0 && !values.json) console.log(`\n${group}\n${table(measured)}`);
      rows.push(...measured);
    }
    if (rows.length === 0) throw new Error(`--shape: no shape is called ${values.shape}`);
    report(rows, { json: values.json, mustPass: values.gates, about: head });
  } finally {
    libraries.close();
    torch?.close();
  }
}

/** Measures a shape, and as often as `again` once more while it misses a gate: other programs can slow all turns of a second. */
async function measureUntil(trial: Trial, contenders: Contenders, rounds: number, again: number): Promise<Measured> {
  let measured = await measure(trial, contenders, rounds);
  for (let left = again; left > 0 && missesGate(rowOf(measured)); left--) {
    measured = together(measured, await measure(trial, contenders, rounds));
  }
  return measured;
}

function report(
  rows: readonly Row[],
  { json, mustPass, about }: { json: boolean; mustPass: boolean; about: string[] },
): void {
  const passed = gates(rows);
  if (json) console.log(JSON.stringify({ about, rows, gates: passed }));
  else console.log(`\n${passed.map((gate) => `${gate.passed ? 'pass' : 'FAIL'}: ${gate.text}`).join('\n')}`);
  if (mustPass && passed.some((gate) => !gate.passed)) throw new Error('some gates fail');
}
