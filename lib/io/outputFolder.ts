import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ConfigError, FileWriteError } from '../errors.js';

/**
 * Makes a folder and those above it, unless they are there. (Node's own `recursive` never ends below folders such as /proc.)
 * @throws FileWriteError if it cannot be made, or written to
 */
export function makeFolder(dir: string): void {
  refusalNamed(dir, () => {
    makeEach(resolve(dir));
    accessSync(dir, constants.W_OK);
  });
}

/**
 * Says whether a folder can be written to or, if it does not exist yet, be made. Touches nothing.
 * @throws FileWriteError
 */
export function expectWritable(dir: string): void {
  let there = resolve(dir);
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  refusalNamed(dir, () => accessSync(there, constants.W_OK));
}

function refusalNamed(dir: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileWriteError(`Cannot write ${dir}: ${reason}`, {
      cause,
      hint: 'Free some space, change the permissions, or choose another --out.',
    });
  }
}

function makeEach(dir: string): void {
  if (isFolder(dir)) return;
  if (dirname(dir) !== dir) makeEach(dirname(dir));
  try {
    mkdirSync(dir);
  } catch (error) {
    if (!isFolder(dir)) throw error; // another process may have made it
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/**
 * What an output folder holds; nothing if it does not exist yet.
 * @throws ConfigError if it is no folder, or cannot be read
 */
export function outputFolderContents(dir: string): string[] {
  if (!existsSync(dir)) return [];
  try {
    return readdirSync(dir);
  } catch (cause) {
    throw new ConfigError(`outputDir: expected a folder, got '${dir}', which cannot be read as one`, {
      cause,
      hint: 'Choose another --out.',
    });
  }
}

/** Whether the JSON file at `path` says that it is of this format; false if there is none or it is damaged. */
export function isOfFormat(path: string, format: string): boolean {
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { format?: unknown }).format === format;
  } catch {
    return false;
  }
}
