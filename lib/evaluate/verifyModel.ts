import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ConfigError, FileFormatError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { readJsonObject } from '../io/jsonFile.js';
import { openEvaluators } from './evaluators.js';
import { GATE_PROMPTS, gatePrompts, type ModelFigures, measureModel, missedModelGates } from './modelGate.js';
import { openPictureMaker } from './pictureMaker.js';

const FORMAT = 'tlora model figures 1';
const FILE = 'figures.json';

/** What a model's folder says of itself, beside the files of the pipeline. */
export interface ModelRecord {
  readonly format: typeof FORMAT;
  /** SHA-256 of every other file, by its path in the folder. */
  readonly sha256: Readonly<Record<string, string>>;
  readonly guidance: number;
  readonly steps: number;
  readonly prompts: number;
  readonly figures: ModelFigures;
}

export interface VerifyOptions {
  readonly dir: string;
  /** Folder of evaluators; default those of the package. */
  readonly evaluators?: string | undefined;
  readonly threads?: number | undefined;
  /** Of the measurement, when it is recorded. */
  readonly prompts?: number | undefined;
  readonly guidance?: number | undefined;
  readonly steps?: number | undefined;
}

/** Checksums of all files of a model's folder but the record itself, in the order of their names. */
export function modelChecksums(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter((path) => path !== FILE)
    .sort();
  return Object.fromEntries(
    files.map((path) => [
      path,
      createHash('sha256')
        .update(readFileSync(join(dir, path)))
        .digest('hex'),
    ]),
  );
}

/** One checksum of all files of a model. */
export function modelDigest(dir: string): string {
  return createHash('sha256')
    .update(JSON.stringify(modelChecksums(dir)))
    .digest('hex');
}

async function measured(
  options: VerifyOptions,
  { prompts, guidance, steps }: Pick<ModelRecord, 'prompts' | 'guidance' | 'steps'>,
): Promise<ModelFigures> {
  const { dir, evaluators, threads } = options;
  const reader = await openEvaluators({ dir: evaluators, threads });
  try {
    const maker = openPictureMaker(dir, { steps, guidance, threads });
    try {
      return await measureModel(maker, reader, gatePrompts(prompts));
    } finally {
      maker.dispose();
    }
  } finally {
    reader.dispose();
  }
}

/** Measures a model and writes its figures and checksums beside it. @returns what falls short of the gates */
export async function recordModel(options: VerifyOptions): Promise<{ figures: ModelFigures; problems: string[] }> {
  const { dir, prompts = GATE_PROMPTS, guidance = 5, steps = 25 } = options;
  const figures = await measured(options, { prompts, guidance, steps });
  const record: ModelRecord = { format: FORMAT, sha256: modelChecksums(dir), guidance, steps, prompts, figures };
  await writeFileAtomic(join(dir, FILE), `${JSON.stringify(record, null, 2)}\n`);
  return { figures, problems: missedModelGates(figures) };
}

/** Largest difference of a share from the recorded one: processors differ in the last bits, which may turn close calls. */
const TOLERANCE = 0.01;

function changedFiles(recorded: ModelRecord['sha256'], now: Record<string, string>): string[] {
  return [...new Set([...Object.keys(recorded), ...Object.keys(now)])].flatMap((path) =>
    recorded[path] === now[path]
      ? []
      : [`${path}: expected SHA-256 ${recorded[path] ?? 'of no such file'}, got ${now[path] ?? 'no such file'}`],
  );
}

/**
 * Checks a model against its record: checksums, gates, and the recorded figures. Takes minutes.
 * @throws (by rejecting) ConfigError if there is no record
 */
export async function verifyModel(options: VerifyOptions): Promise<{ figures: ModelFigures; problems: string[] }> {
  const path = join(options.dir, FILE);
  if (!existsSync(path))
    throw new ConfigError(`model: expected ${FILE} in ${options.dir}, found none`, {
      hint: 'Measure the model first: npm run verify:mini -- --record',
    });
  const record = readJsonObject(path) as unknown as ModelRecord;
  if (record.format !== FORMAT)
    throw new FileFormatError(`${path}: format: expected ${FORMAT}, got ${String(record.format)}`);
  const changed = changedFiles(record.sha256, modelChecksums(options.dir));
  const figures = await measured(options, record);
  const differing = (['model', 'renders'] as const).flatMap((name) => {
    const [said, is] = [record.figures[name].all, figures[name].all];
    return Math.abs(said - is) <= TOLERANCE ? [] : [`${name}: expected ${said} as recorded, got ${is}`];
  });
  return { figures, problems: [...changed, ...missedModelGates(figures), ...differing] };
}
