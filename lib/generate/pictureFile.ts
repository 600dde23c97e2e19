import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeRefusal } from '../io/atomicFile.js';
import { writePng } from '../io/image.js';
import { makeFolder } from '../io/outputFolder.js';

/**
 * Takes a path in `dir` for the picture of a seed: the first of `<seed>.png`, `<seed>-2.png`, … at which nothing lay. An empty file lies there
 * from now on, so that no other process takes it.
 */
function takePath(dir: string, seed: number): string {
  for (let i = 1; ; i++) {
    const path = join(dir, i === 1 ? `${seed}.png` : `${seed}-${i}.png`);
    try {
      closeSync(openSync(path, 'wx'));
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw writeRefusal(path, error);
    }
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
  makeFolder(dir);
  const path = takePath(dir, parameters.seed);
  const { width, height } = parameters;
  try {
    await writePng(path, pixels, width, height, { Software: 'tlora', parameters: JSON.stringify(parameters) });
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
  return path;
}
