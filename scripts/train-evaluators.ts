// Trains the evaluators with tlora's own engine, in slices of any length: `npm run pretrain:evaluators -- --out runs/evaluators --minutes 30`.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { EVALUATORS_DIR } from '../lib/evaluate/evaluatorFiles.js';
import { verifyEvaluators } from '../lib/evaluate/evaluators.js';
import { EVALUATOR_SETTINGS } from '../lib/evaluate/settings.js';
import { exportEvaluators, trainEvaluators } from '../lib/evaluate/trainEvaluators.js';
import { chooseFloat32Device } from '../lib/pipeline/device.js';
import { deviceOf } from './device-flags.js';

const USAGE = `npm run pretrain:evaluators -- --out DIR [options]
  --out DIR       folder of the run: state, log and curve. A run that is there goes on; at its end the evaluators are measured and written
  --minutes N     begin no step after N minutes
  --steps N       stop after step N
  --threads N     default: all cores
  --device NAME   auto, cpu, cuda or cuda:N; default auto
  --precision T   fp32, the default, or tf32 on CUDA
  --to DIR        where the finished evaluators go; default models/evaluators
  --export        train no more: measure the weights as they stand, and write them if all gates are reached
  --verify        measure the evaluators in --to again and compare`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      minutes: { type: 'string' },
      steps: { type: 'string' },
      threads: { type: 'string', default: String(availableParallelism()) },
      device: { type: 'string', default: 'auto' },
      precision: { type: 'string', default: 'fp32' },
      to: { type: 'string', default: EVALUATORS_DIR },
      export: { type: 'boolean', default: false },
      verify: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'minutes' | 'steps' | 'threads', pattern: RegExp): number | undefined => {
    const value = values[name];
    if (value === undefined) return undefined;
    if (!pattern.test(value)) throw new Error(`--${name}: expected a number above 0, got ${value}\n\n${USAGE}`);
    return Number(value);
  };
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  if (values.out === undefined && !values.verify) throw new Error(`--out: expected a folder\n\n${USAGE}`);
  const minutes = number('minutes', /^\d+(\.\d+)?$/);
  const [steps, threads] = [number('steps', /^[1-9]\d*$/), number('threads', /^[1-9]\d*$/)!];
  return {
    ...values,
    dir: values.out ?? '',
    minutes,
    steps,
    threads,
    device: deviceOf(values, threads, chooseFloat32Device),
  };
}

/** Numbers of a line with four digits. */
function shown(line: object): string {
  return JSON.stringify(line, (_key, value) => (typeof value === 'number' ? Number(value.toPrecision(4)) : value));
}

async function train({ dir, minutes, steps, threads, device }: ReturnType<typeof readArguments>): Promise<boolean> {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
  const { step, finished } = await trainEvaluators(EVALUATOR_SETTINGS, {
    dir,
    threads,
    device,
    untilStep: steps,
    untilTime: minutes === undefined ? undefined : Date.now() + minutes * 60_000,
    signal: stop.signal,
    onLine: (line) => console.log(shown(line)),
  });
  console.log(`evaluators: ${step} of ${EVALUATOR_SETTINGS.training.steps} steps${finished ? ', finished' : ''}`);
  return finished;
}

async function main(): Promise<void> {
  const given = readArguments();
  const { dir, to, threads, device } = given;
  if (given.verify) {
    const { measured, problems } = await verifyEvaluators({ dir: to, threads, device });
    console.log(shown(measured));
    for (const problem of problems) console.error(problem);
    process.exitCode = problems.length === 0 ? 0 : 1;
    return;
  }
  if (!given.export && !(await train(given))) return;
  console.log(shown(await exportEvaluators(EVALUATOR_SETTINGS, { dir, to, threads, device })));
}

await main();
