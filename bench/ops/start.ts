// The orthogonal start of all adapters of a model: seconds by the clock and of processor time.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DEFAULT_START } from '../../lib/adapters/adapterSpec.js';
import { drawStart } from '../../lib/adapters/start.js';
import { openModel } from '../../lib/pipeline/openModel.js';
import { ensureState, openSession, runOnce } from '../../lib/pipeline/session.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';
import { BENCH_FOLDER } from '../step/model.js';

export const START_USAGE: string = `npm run bench -- start [options]
  --shape NAME    a shape of scripts/make-random-model.mjs; default sdxl. Only its layers count: no weights are made
  --rank N        default 64
  --threads N     default: all cores
  --rounds N      default 3
  --most SECONDS  fail if the best round takes longer
  --json          one JSON object instead of a line`;

function headersOnly(shape: string): string {
  const out = join(BENCH_FOLDER, `${shape}-headers`);
  const script = fileURLToPath(new URL('../../scripts/make-random-model.mjs', import.meta.url));
  if (!existsSync(join(out, 'model_index.json'))) {
    execFileSync(process.execPath, [script, '--shape', shape, '--out', out, '--headers-only'], { stdio: 'inherit' });
  }
  return out;
}

interface Round {
  readonly seconds: number;
  readonly processor: number;
}

/** One start with an engine of its own; opening and closing it counts. */
async function round(model: ReturnType<typeof openModel>, rank: number, threads: number): Promise<Round> {
  const begin = performance.now();
  const before = process.cpuUsage();
  const session = openSession(threads);
  const { layout } = setupAdapters(model.unet, { variant: 'tlora', rank });
  for (const name of ['params', 'base']) ensureState(session, name, layout.flat.total);
  await drawStart({
    layout,
    spec: { variant: 'tlora', rank, start: DEFAULT_START, orthogonal: 'init' },
    seed: 1,
    runGraph: (graph, feeds) => runOnce(session, graph, [], feeds),
    state: session.engine,
  });
  session.engine.dispose();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - begin) / 1000, processor: (user + system) / 1e6 };
}

/** @throws Error if no round stays within --most */
export async function benchStart(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      shape: { type: 'string', default: 'sdxl' },
      rank: { type: 'string', default: '64' },
      threads: { type: 'string', default: String(availableParallelism()) },
      rounds: { type: 'string', default: '3' },
      most: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const [rank, threads] = [Number(values.rank), Number(values.threads)];
  const model = openModel(headersOnly(values.shape));
  const { layers, flat } = setupAdapters(model.unet, { variant: 'tlora', rank }).layout;
  const rounds: Round[] = [];
  for (let i = 0; i < Number(values.rounds); i++) rounds.push(await round(model, rank, threads));
  const seconds = Math.min(...rounds.map((r) => r.seconds));
  const processor = Math.min(...rounds.map((r) => r.processor));
  const load = loadavg()[0]!.toFixed(1);
  const all = {
    shape: values.shape,
    layers: layers.length,
    floats: flat.total,
    rank,
    threads,
    seconds,
    processor,
    load,
  };
  const line =
    `${all.shape}: ${all.layers} layers of rank ${rank} (${(flat.total / 1e6).toFixed(1)} M values) in ${seconds.toFixed(2)} s ` +
    `on ${threads} threads, ${processor.toFixed(2)} s of processor time (best of ${rounds.length}; load of the machine ${load})`;
  console.log(values.json ? JSON.stringify({ ...all, rounds }) : line);
  if (values.most && seconds > Number(values.most)) throw new Error(`the start took longer than ${values.most} s`);
}
