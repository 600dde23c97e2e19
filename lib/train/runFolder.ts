import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigError, FileFormatError, FileWriteError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { expectWritable, isOfFormat, makeFolder, outputFolderContents } from '../io/outputFolder.js';

/** Files that a run makes, and the names of those in its subfolders. Nothing else in the folder is ever touched. */
const FILES = [
  'config.json',
  'log.jsonl',
  'adapter.safetensors',
  'best.safetensors',
  'state.safetensors',
  'algorithms.json',
] as const;
const SUBFOLDERS = { checkpoints: 'adapter-\\d{6,}\\.safetensors', samples: 'step-\\d{6,}-\\d+\\.png' } as const;

/** First entry of `config.json`: by it a folder is known to hold a run. */
const FORMAT = 'tlora run 1';

/** The folder of one training run. */
export interface RunFolder {
  readonly dir: string;
  readonly configPath: string;
  readonly logPath: string;
  readonly adapterPath: string;
  /** The best adapter so far, of a run that is watched. */
  readonly bestPath: string;
  readonly statePath: string;
  /** What a CUDA device's libraries chose (lib/train/algorithms.ts). */
  readonly algorithmsPath: string;
  /** Path of the adapter saved at a step. */
  checkpointPath(step: number): string;
  samplePath(step: number, index: number): string;
  /** Appends one line to the log. @throws FileWriteError */
  log(line: object): void;
  /** @throws FileWriteError if another process has taken the folder since it was claimed */
  expectClaimed(): void;
}

/** @param claim of the run that writes to the folder, as its `config.json` has it */
export function runFolder(dir: string, claim?: string): RunFolder {
  const file = (name: (typeof FILES)[number]): string => join(dir, name);
  const six = (step: number): string => String(step).padStart(6, '0');
  const logPath = file('log.jsonl');
  const expectClaimed = (): void => {
    if (claim !== undefined) expectClaim(file('config.json'), claim);
  };
  return {
    dir,
    configPath: file('config.json'),
    logPath,
    adapterPath: file('adapter.safetensors'),
    bestPath: file('best.safetensors'),
    statePath: file('state.safetensors'),
    algorithmsPath: file('algorithms.json'),
    checkpointPath: (step) => join(dir, 'checkpoints', `adapter-${six(step)}.safetensors`),
    samplePath: (step, index) => join(dir, 'samples', `step-${six(step)}-${index}.png`),
    log: (line) => {
      expectClaimed();
      refusalNamed(logPath, () => appendLine(logPath, `${JSON.stringify(line)}\n`));
    },
    expectClaimed,
  };
}

function expectClaim(configPath: string, claim: string): void {
  const config = refusalNamed(configPath, () => readFileSync(configPath, 'utf8'));
  if (config.includes(claim)) return;
  throw new FileWriteError(
    `${configPath}: expected the settings of this run, got those of another: nothing was written`,
    {
      hint: 'Another process has begun a run in this folder: give each an --out of its own.',
    },
  );
}

function appendLine(path: string, line: string): void {
  const fd = openSync(path, 'a');
  try {
    writeSync(fd, line);
  } finally {
    closeSync(fd);
  }
}

function refusalNamed<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileWriteError(`Cannot write ${path}: ${reason}`, {
      cause,
      hint: 'Free some space, change the permissions, or choose another --out.',
    });
  }
}

/** Names of the run's own files below `dir`, those that were cut off while being written included. */
function ownFiles(dir: string): string[] {
  const pick = (folder: string, names: string): string[] => {
    const own = new RegExp(`^(?:${names}|\\.(?:${names})\\.\\d+\\.[0-9a-f]+\\.tmp)$`);
    if (!existsSync(join(dir, folder))) return [];
    return readdirSync(join(dir, folder)).flatMap((name) => (own.test(name) ? [join(folder, name)] : []));
  };
  const top = pick('', FILES.map((name) => name.replace('.', '\\.')).join('|'));
  return [...top, ...Object.entries(SUBFOLDERS).flatMap(([folder, names]) => pick(folder, names))];
}

function expectFree(dir: string, overwrite: boolean): void {
  const present = outputFolderContents(dir);
  if (present.length === 0) return;
  const earlier = isOfFormat(join(dir, 'config.json'), FORMAT);
  if (!overwrite) {
    throw new ConfigError(`outputDir: expected a new or empty folder, got '${dir}', which holds ${present[0]}`, {
      hint: earlier
        ? 'It holds a run: go on with it by --resume, replace it by --overwrite, or choose another --out.'
        : 'Choose another --out, or add the files of the run to that folder by --overwrite.',
    });
  }
  const [inTheWay] = earlier ? [] : ownFiles(dir);
  if (inTheWay === undefined) return;
  throw new ConfigError(`outputDir: expected a folder of a run, got '${dir}', whose ${inTheWay} is of something else`, {
    hint: 'overwrite replaces only the files of an earlier run: choose another --out.',
  });
}

/** Settings that may change when a run goes on: they do not change the numbers of its steps. */
const MAY_CHANGE = [
  'format',
  'claim',
  'steps',
  'saveEvery',
  'sample',
  'watch',
  'threads',
  'device',
  'algorithmCache',
  'memory',
  'compact',
  'dtype',
];

/** Of what the settings only name: the option, and the digest of its contents. Earlier runs may have none. */
const CONTENTS: Readonly<Record<string, string>> = {
  modelDigest: 'model',
  tokenizerDigest: 'model',
  imageDigests: 'images',
};

/** What settings were in runs that do not name them. */
const ONCE_ALWAYS: Readonly<Record<string, unknown>> = { precision: 'fp32', deterministic: false };

/**
 * @throws ConfigError that names the first setting in which a resumed run differs from the earlier one
 */
function expectSameSettings(earlier: Record<string, unknown>, now: Record<string, unknown>): void {
  const isSame = (name: string): boolean => JSON.stringify(earlier[name]) === JSON.stringify(now[name]);
  const moved = ['model', 'images'].filter((option) => {
    const digests = Object.keys(CONTENTS).filter((name) => CONTENTS[name] === option);
    return digests.every((name) => earlier[name] !== undefined && isSame(name));
  });
  if (moved.includes('model')) moved.push('config'); // the digests are of what is in it, too
  for (const name of new Set([...Object.keys(earlier), ...Object.keys(now)])) {
    if (moved.includes(name)) continue;
    if (MAY_CHANGE.includes(name) || (name in CONTENTS && earlier[name] === undefined)) continue;
    const [was, is] = [JSON.stringify(earlier[name] ?? ONCE_ALWAYS[name]), JSON.stringify(now[name])];
    if (was === is) continue;
    const of = CONTENTS[name];
    if (of !== undefined) throw changedContents(of, now[of]);
    throw new ConfigError(`${name}: expected ${was ?? 'none'}, as in the run to go on with, got ${is ?? 'none'}`, {
      hint: 'Resume with the settings of the run, or start a new one in another --out.',
    });
  }
}

function changedContents(option: string, where: unknown): ConfigError {
  return new ConfigError(
    `${option}: expected the contents that the run to go on with began with, got others in ${where}`,
    {
      hint: 'Put the files back as they were, or start a new run in another --out.',
    },
  );
}

/** Where a run is to write, and whether it goes on with an earlier one. */
export interface FolderWish {
  readonly outputDir: string;
  readonly resume: boolean;
  readonly overwrite: boolean;
}

const asJson = (settings: object): Record<string, unknown> =>
  JSON.parse(JSON.stringify({ format: FORMAT, ...settings })) as Record<string, unknown>;

/**
 * Says whether a run may use its folder, or, to resume, that it holds that run. Touches nothing.
 * @throws ConfigError, FileFormatError; FileWriteError if it cannot be written to
 */
export function checkRunFolder({ outputDir, resume, overwrite }: FolderWish, settings: object): RunFolder {
  const folder = runFolder(outputDir);
  if (resume) expectSameSettings(readRunConfig(folder), asJson(settings));
  else expectFree(outputDir, overwrite);
  expectWritable(outputDir);
  return folder;
}

/**
 * Takes the folder for a run: removes the files of an earlier one, unless that goes on, and writes `config.json`.
 * @throws ConfigError, FileFormatError, FileWriteError
 */
export async function claimRunFolder(wish: FolderWish, settings: object): Promise<RunFolder> {
  const { dir, configPath } = checkRunFolder(wish, settings);
  makeFolder(dir);
  refusalNamed(dir, () => (wish.resume ? clearCutOff(dir) : clear(dir)));
  const claim = randomUUID();
  await writeFileAtomic(configPath, `${JSON.stringify({ ...asJson(settings), claim }, null, 2)}\n`);
  return runFolder(dir, claim);
}

const CUT_OFF = /\.(\d+)\.[0-9a-f]+\.tmp$/;

/** Removes files that processes which have ended were writing. */
function clearCutOff(dir: string): void {
  for (const name of ownFiles(dir)) {
    const pid = CUT_OFF.exec(name)?.[1];
    if (pid !== undefined && !isOther(Number(pid))) rmSync(join(dir, name), { force: true });
  }
}

/** Whether a process besides this one has the number. */
function isOther(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function clear(dir: string): void {
  for (const name of ownFiles(dir)) rmSync(join(dir, name));
  for (const folder of Object.keys(SUBFOLDERS)) {
    const path = join(dir, folder);
    if (existsSync(path) && readdirSync(path).length === 0) rmdirSync(path);
  }
}

/** Makes the subfolders that a path needs. @throws FileWriteError */
export function ensureParent(path: string): void {
  makeFolder(dirname(path));
}

const RUN_HINTS = {
  resume: 'Give the --out of the run to go on with.',
  run: 'Give the folder of a run: the --out of its training.',
} as const;

/**
 * Reads the settings of an earlier run.
 * @param option which names the folder, for messages
 * @throws ConfigError if the folder holds no run; FileFormatError if its config is no JSON object
 */
export function readRunConfig(folder: RunFolder, option: keyof typeof RUN_HINTS = 'resume'): Record<string, unknown> {
  if (!existsSync(folder.configPath)) {
    throw new ConfigError(`${option}: expected a run in '${folder.dir}', found no config.json there`, {
      hint: RUN_HINTS[option],
    });
  }
  const parsed = parsedObject(folder.configPath);
  if (parsed.format === FORMAT) return parsed;
  throw new FileFormatError(`${folder.configPath}: expected the settings of a run, format '${FORMAT}', got others`, {
    hint: RUN_HINTS[option],
  });
}

/** The model of a run, from its settings, as options of `generate`. */
export function modelOfRun({ model, config }: Readonly<Record<string, unknown>>): { model: string; config?: string } {
  return { model: String(model), ...(typeof config === 'string' && { config }) };
}

function parsedObject(path: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new FileFormatError(`${path}: expected a JSON object`, { cause });
  }
  if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  throw new FileFormatError(`${path}: expected a JSON object`);
}

/** Drops log lines after `step`: those of steps that a resumed run will take again, and one that was cut off. */
export async function rewindLog(folder: RunFolder, step: number): Promise<void> {
  if (!existsSync(folder.logPath)) return;
  const kept = readFileSync(folder.logPath, 'utf8')
    .split('\n')
    .filter((line) => {
      try {
        return ((JSON.parse(line) as { step?: number }).step ?? 0) <= step;
      } catch {
        return false;
      }
    });
  await writeFileAtomic(folder.logPath, kept.map((line) => `${line}\n`).join(''));
}
