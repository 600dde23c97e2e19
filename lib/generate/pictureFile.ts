import { join } from 'node:path';
import { writeNewFileAtomic } from '../io/atomicFile.js';
import { encodePng } from '../io/image.js';
import { makeFolder } from '../io/outputFolder.js';

/**
 * Writes a picture beside those that are there, as the first of `<seed>.png`, `<seed>-2.png`, … at which nothing lies, with its parameters as
 * its text `parameters` (JSON).
 * @returns the path
 * @throws FileWriteError
 */
export async function savePicture(
  dir: string,
  pixels: Uint8Array,
  parameters: { readonly seed: number; readonly width: number; readonly height: number },
): Promise<string> {
  makeFolder(dir);
  const { seed, width, height } = parameters;
  const text = { Software: 'tlora', parameters: JSON.stringify(parameters) };
  const png = await encodePng(pixels, width, height, text);
  return await writeNewFileAtomic((i) => join(dir, i === 1 ? `${seed}.png` : `${seed}-${i}.png`), png);
}
