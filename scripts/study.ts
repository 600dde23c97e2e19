// Compares kinds of adapters on the mini model over concepts and seeds, in slices of any length: `npm run study:mini -- --minutes 60`.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { AdapterVariant } from '../lib/adapters/adapterSpec.js';
import { MINI_DIR } from '../lib/demo/demo.js';
import { writeFileAtomic } from '../lib/io/atomicFile.js';
import { expectSameStudy, readResults } from '../lib/study/results.js';
import { runStudy } from '../lib/study/runStudy.js';
import { STUDY_SETTINGS, type StudySettings } from '../lib/study/settings.js';
import { resultsOf, studyText, withStudy } from '../lib/study/studyTable.js';
import { developmentConcepts } from '../lib/world/concepts.js';

const VARIANTS: readonly AdapterVariant[] = ['lora', 'vanilla', 'ortho', 'tlora'];
const PAGE = join(import.meta.dirname, '..', 'docs', 'mini-model.md');

const USAGE = `npm run study:mini -- [options]
  --out DIR            results; a study that is there goes on; default runs/study
  --concepts A,B,…     0 to 24 for tables, 25 to 29 to choose settings on; default ${STUDY_SETTINGS.concepts.join(',')}
  --seeds N            training seeds of each concept; default ${STUDY_SETTINGS.seeds}
  --variants A,B,…     default ${VARIANTS.join(',')}
  --ranks A,B,…        default ${STUDY_SETTINGS.ranks.join(',')}
  --steps N            default ${STUDY_SETTINGS.steps}
  --checkpoints N      times at which a run is judged; default ${STUDY_SETTINGS.checkpoints}
  --learning-rate X    for all, or one for each: lora=1e-3,tlora=2e-3,…
  --sampler-steps N    default ${STUDY_SETTINGS.samplerSteps}
  --guidance X         default ${STUDY_SETTINGS.guidance}
  --minutes N          begin no run after N minutes
  --threads N          default: all cores
  --model DIR          default models/mini
  --evaluators DIR     default models/evaluators
  --table              do no runs, only print the tables of what is there
  --write              put the tables into docs/mini-model.md`;

function numbers(name: string, text: string): number[] {
  const all = text.split(',').map(Number);
  if (all.some((value) => !Number.isFinite(value) || value < 0))
    throw new Error(`--${name}: expected numbers with commas between them, got ${text}\n\n${USAGE}`);
  return all;
}

function learningRates(text: string): StudySettings['learningRates'] {
  if (!text.includes('=')) {
    const [rate] = numbers('learning-rate', text);
    return { lora: rate!, vanilla: rate!, ortho: rate!, tlora: rate! };
  }
  const given = text.split(',').map((part) => part.split('=') as [string, string]);
  const unknown = given.find(([variant]) => !VARIANTS.includes(variant as AdapterVariant));
  if (unknown)
    throw new Error(`--learning-rate: expected one of ${VARIANTS.join(', ')}, got ${unknown[0]}\n\n${USAGE}`);
  const rates = given.map(([variant, rate]) => [variant, numbers('learning-rate', rate)[0]!] as const);
  return { ...STUDY_SETTINGS.learningRates, ...Object.fromEntries(rates) };
}

function variantsOf(text: string): AdapterVariant[] {
  const all = text.split(',') as AdapterVariant[];
  const unknown = all.find((variant) => !VARIANTS.includes(variant));
  if (unknown) throw new Error(`--variants: expected some of ${VARIANTS.join(', ')}, got ${unknown}\n\n${USAGE}`);
  return all;
}

function readArguments() {
  const one = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      ...{ out: { ...one, default: 'runs/study' }, concepts: one, seeds: one, variants: one, ranks: one, steps: one },
      ...{ checkpoints: one, 'learning-rate': one, 'sampler-steps': one, guidance: one, minutes: one, threads: one },
      ...{ model: { ...one, default: MINI_DIR }, evaluators: one },
      ...{ table: { type: 'boolean' }, write: { type: 'boolean' }, help: { type: 'boolean' } },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const list = (name: 'concepts' | 'ranks') =>
    values[name] === undefined ? {} : { [name]: numbers(name, values[name]) };
  const number = (name: 'seeds' | 'steps' | 'checkpoints' | 'sampler-steps' | 'guidance' | 'minutes' | 'threads') =>
    values[name] === undefined ? undefined : numbers(name, values[name])[0];
  const settings: StudySettings = {
    ...STUDY_SETTINGS,
    ...list('concepts'),
    ...list('ranks'),
    ...(values.variants === undefined ? {} : { variants: variantsOf(values.variants) }),
    ...(values['learning-rate'] === undefined ? {} : { learningRates: learningRates(values['learning-rate']) }),
    seeds: number('seeds') ?? STUDY_SETTINGS.seeds,
    steps: number('steps') ?? STUDY_SETTINGS.steps,
    checkpoints: number('checkpoints') ?? STUDY_SETTINGS.checkpoints,
    samplerSteps: number('sampler-steps') ?? STUDY_SETTINGS.samplerSteps,
    guidance: number('guidance') ?? STUDY_SETTINGS.guidance,
  };
  return { ...values, settings, minutes: number('minutes'), threads: number('threads') };
}

/** The page with the tables in it, written whole. */
async function writePage(text: string): Promise<void> {
  await writeFileAtomic(PAGE, withStudy(readFileSync(PAGE, 'utf8'), text));
}

async function main(): Promise<void> {
  const { out: dir, settings, model, evaluators, minutes, threads, table, write } = readArguments();
  if (write && settings.concepts.some((index) => developmentConcepts.includes(index)))
    throw new Error(`--write: expected concepts of the tables, 0 to 24, got ${settings.concepts.join(',')}`);
  if (table) expectSameStudy(dir, settings);
  else {
    if (!existsSync(join(model, 'model_index.json')))
      throw new Error(`expected trained weights, found no model at ${model}`);
    const stop = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
    const begun = Date.now();
    const untilTime = minutes === undefined ? undefined : begun + minutes * 60_000;
    const finished = await runStudy({
      ...{ dir, settings, model, evaluators, threads, untilTime, signal: stop.signal },
      onRun: (done, all, { concept, seed, variant, rank }, { fidelity, alignment }) =>
        console.log(
          `${done} of ${all}: concept ${concept}, seed ${seed}, ${variant}, rank ${rank}: fidelity ${fidelity.toFixed(3)}, alignment ${alignment.toFixed(3)} · ${((Date.now() - begun) / 60_000).toFixed(1)} min`,
        ),
    });
    console.log(finished ? 'all runs are done' : 'not all runs are done: run it again to go on');
  }
  const results = readResults(dir);
  if (resultsOf(results, settings).runs.length === 0) {
    console.log(`no finished runs of these settings in ${dir}`);
    return;
  }
  const text = studyText(results, settings);
  console.log(`\n${text}`);
  if (write) await writePage(text);
}

main().catch((error: unknown) => {
  console.error(`study: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
