import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writePng } from '../io/image.js';

/** A path in `dir` for the picture of a seed at which nothing lies yet: `<seed>.png`, `<seed>-2.png`, … */
export function freePath(dir: string, seed: number): string {
  for (let i = 1; ; i++) {
    const path = join(dir, i === 1 ? `${seed}.png` : `${seed}-${i}.png`);
    if (!existsSync(path)) return path;
  }
}

/**
 * Writes a picture beside those that are there, with its parameters as its text `parameters` (JSON).
 * @returns the path
 * @throws FileWriteError
 */
export async function savePicture(
  dir: string,
  pixels: Uint8Array,
  parameters: { readonly seed: number; readonly width: number; readonly height: number },
): Promise<string> {
  mkdirSync(dir, { recursive: true });
  const path = freePath(dir, parameters.seed);
  const { width, height } = parameters;
  await writePng(path, pixels, width, height, { Software: 'tlora', parameters: JSON.stringify(parameters) });
  return path;
}
