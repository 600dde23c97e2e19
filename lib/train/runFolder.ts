import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, FileFormatError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';

/** Files and folders that a run makes. Nothing else in the folder is ever touched. */
const OWN = ['config.json', 'log.jsonl', 'adapter.safetensors', 'state.safetensors', 'checkpoints', 'samples'] as const;

/** Leftovers of writes that were cut off. */
const TEMPORARY = /^\.?(?:config\.json|adapter\.safetensors|state\.safetensors|log\.jsonl)\..*tmp/;

/** The folder of one training run. */
export interface RunFolder {
  readonly dir: string;
  readonly configPath: string;
  readonly logPath: string;
  readonly adapterPath: string;
  readonly statePath: string;
  /** Path of the adapter saved at a step. */
  checkpointPath(step: number): string;
  samplePath(step: number, index: number): string;
  /** Appends one line to the log. */
  log(line: object): void;
}

export function runFolder(dir: string): RunFolder {
  const file = (name: (typeof OWN)[number]): string => join(dir, name);
  const six = (step: number): string => String(step).padStart(6, '0');
  return {
    dir,
    configPath: file('config.json'),
    logPath: file('log.jsonl'),
    adapterPath: file('adapter.safetensors'),
    statePath: file('state.safetensors'),
    checkpointPath: (step) => join(file('checkpoints'), `adapter-${six(step)}.safetensors`),
    samplePath: (step, index) => join(file('samples'), `step-${six(step)}-${index}.png`),
    log: (line) => {
      const fd = openSync(file('log.jsonl'), 'a');
      try {
        writeSync(fd, `${JSON.stringify(line)}\n`);
      } finally {
        closeSync(fd);
      }
    },
  };
}

/**
 * Says whether a new run may use the folder, and empties it of an earlier run's files if `overwrite` allows it.
 * @throws ConfigError if it holds anything and overwriting was not asked for
 */
export function claimRunFolder(dir: string, { overwrite }: { overwrite: boolean }): RunFolder {
  const folder = runFolder(dir);
  const present = existsSync(dir) ? readdirSync(dir) : [];
  if (present.length > 0 && !overwrite) {
    const earlier = present.includes('config.json') && present.includes('log.jsonl');
    throw new ConfigError(`outputDir: expected a new or empty folder, got '${dir}', which holds ${present[0]}`, {
      hint: earlier
        ? 'It holds a run: go on with it by --resume, replace it by --overwrite, or choose another --out.'
        : 'Choose another --out.',
    });
  }
  mkdirSync(dir, { recursive: true });
  for (const name of present) {
    if ((OWN as readonly string[]).includes(name) || TEMPORARY.test(name)) rmSync(join(dir, name), { recursive: true });
  }
  return folder;
}

/** Settings that may change when a run goes on: they do not change the numbers of its steps. */
const MAY_CHANGE = ['steps', 'saveEvery', 'sample', 'threads', 'device', 'memory', 'compact', 'dtype'];

/**
 * @throws ConfigError that names the first setting in which a resumed run differs from the earlier one
 */
function expectSameSettings(earlier: Record<string, unknown>, now: Record<string, unknown>): void {
  for (const name of new Set([...Object.keys(earlier), ...Object.keys(now)])) {
    if (MAY_CHANGE.includes(name)) continue;
    const [was, is] = [JSON.stringify(earlier[name]), JSON.stringify(now[name])];
    if (was === is) continue;
    throw new ConfigError(`${name}: expected ${was}, as in the run to go on with, got ${is}`, {
      hint: 'Resume with the settings of the run, or start a new one in another --out.',
    });
  }
}

/**
 * The folder of a run: claimed and given its `config.json`, or checked to hold the run to go on with.
 * @throws ConfigError
 */
export async function openRunFolder(
  options: { outputDir: string; resume: boolean; overwrite: boolean },
  settings: Record<string, unknown>,
): Promise<RunFolder> {
  const now = JSON.parse(JSON.stringify(settings)) as Record<string, unknown>;
  if (!options.resume) {
    const folder = claimRunFolder(options.outputDir, options);
    await writeRunConfig(folder, now);
    return folder;
  }
  const folder = runFolder(options.outputDir);
  expectSameSettings(readRunConfig(folder), now);
  await writeRunConfig(folder, now);
  return folder;
}

/** Makes the subfolders that a path needs. */
export function ensureParent(path: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
}

/** Writes the settings that the run was started with. */
export async function writeRunConfig(folder: RunFolder, config: object): Promise<void> {
  await writeFileAtomic(folder.configPath, `${JSON.stringify(config, null, 2)}\n`);
}

/**
 * Reads the settings of an earlier run.
 * @throws ConfigError if the folder holds no run; FileFormatError if its config is no JSON object
 */
export function readRunConfig(folder: RunFolder): Record<string, unknown> {
  if (!existsSync(folder.configPath)) {
    throw new ConfigError(`resume: expected a run in '${folder.dir}', found no config.json there`, {
      hint: 'Give the --out of the run to go on with.',
    });
  }
  const text = readFileSync(folder.configPath, 'utf8');
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>;
  } catch (cause) {
    throw new FileFormatError(`${folder.configPath}: expected a JSON object`, { cause });
  }
  throw new FileFormatError(`${folder.configPath}: expected a JSON object`);
}

/** Drops log lines after `step`: those of steps that a resumed run will take again. */
export async function rewindLog(folder: RunFolder, step: number): Promise<void> {
  if (!existsSync(folder.logPath)) return;
  const kept = readFileSync(folder.logPath, 'utf8')
    .split('\n')
    .filter((line) => {
      try {
        const parsed = JSON.parse(line) as { step?: number };
        return (parsed.step ?? 0) <= step;
      } catch {
        return false;
      }
    });
  await writeFileAtomic(folder.logPath, kept.map((line) => `${line}\n`).join(''));
}
