// Checks the trained weights of the package: checksums, gates and recorded figures of models/mini and models/evaluators. Takes minutes.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MINI_DIR } from '../lib/demo/demo.js';
import { EVALUATORS_DIR } from '../lib/evaluate/evaluatorFiles.js';
import { verifyEvaluators } from '../lib/evaluate/evaluators.js';
import { recordModel, verifyModel } from '../lib/evaluate/verifyModel.js';

const USAGE = `npm run verify:mini -- [options]
  --record          measure the model and write figures.json beside it, instead of comparing
  --model DIR       default models/mini
  --evaluators DIR  default models/evaluators
  --guidance X      with --record: of the pictures; default 5
  --prompts N       with --record: prompts of the measurement; default 256
  --threads N       default: all cores`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      record: { type: 'boolean', default: false },
      model: { type: 'string', default: MINI_DIR },
      evaluators: { type: 'string', default: EVALUATORS_DIR },
      guidance: { type: 'string' },
      prompts: { type: 'string' },
      threads: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const number = (name: 'guidance' | 'prompts' | 'threads'): number | undefined => {
    const value = values[name];
    if (value !== undefined && !/^\d+(\.\d+)?$/.test(value))
      throw new Error(`--${name}: expected a number, got ${value}\n\n${USAGE}`);
    return value === undefined ? undefined : Number(value);
  };
  const { record, model: dir, evaluators } = values;
  for (const name of ['guidance', 'prompts'] as const)
    if (!record && values[name] !== undefined)
      throw new Error(
        `--${name}: expected together with --record, as a check measures as figures.json says\n\n${USAGE}`,
      );
  return {
    record,
    dir,
    evaluators,
    guidance: number('guidance'),
    prompts: number('prompts'),
    threads: number('threads'),
  };
}

/** Numbers with four digits. */
function shown(value: object): string {
  return JSON.stringify(value, (_key, one) => (typeof one === 'number' ? Number(one.toPrecision(4)) : one), 2);
}

async function main(): Promise<void> {
  const { record, ...options } = readArguments();
  const problems: string[] = [];
  const missing = [join(options.dir, 'model_index.json'), join(options.evaluators, 'config.json')].filter(
    (path) => !existsSync(path),
  );
  if (missing.length > 0) throw new Error(`expected trained weights, found no ${missing.join(' and no ')}`);
  if (!record) {
    const { measured, problems: own } = await verifyEvaluators({ dir: options.evaluators, threads: options.threads });
    console.log(`evaluators ${shown(measured)}`);
    problems.push(...own.map((problem) => `evaluators: ${problem}`));
  }
  const model = await (record ? recordModel : verifyModel)(options);
  console.log(`model ${shown(model.figures)}`);
  problems.push(...model.problems.map((problem) => `model: ${problem}`));
  for (const problem of problems) console.error(problem);
  console.log(problems.length === 0 ? 'all as recorded, all gates reached' : `${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

main().catch((error: unknown) => {
  console.error(`verify: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
