import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { ConfigError } from '../errors.js';

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
