// The algorithms that were found fastest on a CUDA device, kept for the user: one file for each kind of device and versions of its libraries.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import type { Engine } from '../addon/surface.js';
import { TloraError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';

type Texts = Readonly<Record<string, string>>;

/** What Engine.choices gives, parsed. */
interface ChoiceFile {
  readonly format: number;
  readonly device: string;
  readonly cublasLt: string;
  readonly cudnn: string;
  /** Algorithms by shape. */
  readonly choices: Texts;
  /** What those took that were tried against others. */
  readonly times: Texts;
}

/** What the cache knew when an engine was opened. */
export interface AlgorithmCache {
  readonly path: string;
  readonly suggested: Texts;
}

/** Hears why something of the cache cannot be used; nothing fails for that. */
export type CacheWarning = (message: string) => void;

/** Below XDG_CACHE_HOME, or else ~/.cache; undefined where there is no home. */
export function algorithmCacheFolder(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const { XDG_CACHE_HOME: wanted } = env;
  const home = env.HOME ?? homedir();
  const base =
    wanted !== undefined && isAbsolute(wanted) ? wanted : isAbsolute(home) ? join(home, '.cache') : undefined;
  return base && join(base, 'tlora', 'algorithms');
}

const isTexts = (value: unknown): value is Texts =>
  typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');

function parsed(text: string): ChoiceFile | undefined {
  try {
    const file = JSON.parse(text) as ChoiceFile;
    return file.format === 1 && isTexts(file.choices) && isTexts(file.times) ? file : undefined;
  } catch {
    return undefined;
  }
}

const sameOrigin = (a: ChoiceFile, b: ChoiceFile): boolean =>
  a.device === b.device && a.cublasLt === b.cublasLt && a.cudnn === b.cudnn;

function fileName({ device, cublasLt, cudnn }: ChoiceFile): string {
  return `${`${device} cublasLt ${cublasLt} cudnn ${cudnn}`.replace(/[^\w.]+/g, '-')}.json`;
}

/** The file of the engine's device and libraries; undefined where there is none, or it is not one of theirs, which `warn` hears. */
function readCache(path: string, own: ChoiceFile, warn: CacheWarning): { text: string; file: ChoiceFile } | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const text = readFileSync(path, 'utf8');
    const file = parsed(text);
    if (file && sameOrigin(file, own)) return { text, file };
    warn(`${path} is not a file of algorithm choices for this device and its libraries: it is left out`);
  } catch (error) {
    warn(`${path} cannot be read, and is left out: ${(error as Error).message}`);
  }
  return undefined;
}

/**
 * Suggests to an engine what was found fastest on its device before. Nothing that is wrong with the cache is an error.
 * @returns what was suggested, for `keepAlgorithms`; undefined on the CPU, or where there is no folder for a cache
 */
export function suggestAlgorithms(engine: Engine, warn: CacheWarning): AlgorithmCache | undefined {
  const own = parsed(engine.choices());
  const folder = algorithmCacheFolder();
  if (!own || folder === undefined) return undefined;
  const path = join(folder, fileName(own));
  const cache = readCache(path, own, warn);
  if (!cache) return { path, suggested: {} };
  try {
    engine.suggestChoices(cache.text);
    return { path, suggested: cache.file.choices };
  } catch (error) {
    if (!(error instanceof TloraError)) throw error;
    warn(`${path} is left out: ${error.message}`);
    return { path, suggested: {} };
  }
}

/**
 * Adds what an engine has found fastest to the cache. What is there stays, unless the engine was given it and could not use it: so runs on one
 * machine take the same algorithms.
 */
export async function keepAlgorithms(
  { engine, algorithmCache: cache }: { engine: Engine; algorithmCache: AlgorithmCache | undefined },
  warn: CacheWarning,
): Promise<void> {
  const own = cache && parsed(engine.choices());
  if (!own) return;
  const { path, suggested } = cache;
  const there = readCache(path, own, () => {})?.file;
  const { choices = {}, times = {} } = there ?? {};
  const stays = (shape: string): boolean => choices[shape] !== undefined && choices[shape] !== suggested[shape];
  const found = Object.keys(own.times).filter((shape) => !stays(shape) && own.choices[shape] !== choices[shape]);
  if (found.length === 0) return;
  const of = (texts: Texts): Texts => Object.fromEntries(found.map((shape) => [shape, texts[shape]!]));
  const all = { ...own, choices: { ...choices, ...of(own.choices) }, times: { ...times, ...of(own.times) } };
  try {
    mkdirSync(dirname(path), { recursive: true });
    await writeFileAtomic(path, `${JSON.stringify(all, null, 2)}\n`);
  } catch (error) {
    warn(`the algorithms that were found fastest cannot be kept: ${(error as Error).message}`);
  }
}
