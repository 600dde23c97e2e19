import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { signedToPixels, writePng } from '../io/image.js';

/** White pixels between pictures. */
const GAP = 2;

/**
 * Writes pictures as one PNG, `columns` in a row, each pixel as a square of `zoom`.
 * @param pictures [side, side, 3] in −1…1 each
 * @throws FileWriteError
 */
export async function writePictureGrid(
  path: string,
  pictures: readonly Float32Array[],
  side: number,
  { columns, zoom = 2 }: { columns: number; zoom?: number },
): Promise<void> {
  const cell = side * zoom + GAP;
  const width = columns * cell + GAP;
  const height = Math.ceil(pictures.length / columns) * cell + GAP;
  const out = new Uint8Array(width * height * 3).fill(255);
  pictures.forEach((picture, i) => {
    const pixels = signedToPixels(picture);
    const left = GAP + (i % columns) * cell;
    const top = GAP + Math.floor(i / columns) * cell;
    for (let y = 0; y < side * zoom; y++) {
      for (let x = 0; x < side * zoom; x++) {
        const from = (Math.floor(y / zoom) * side + Math.floor(x / zoom)) * 3;
        out.set(pixels.subarray(from, from + 3), ((top + y) * width + left + x) * 3);
      }
    }
  });
  mkdirSync(dirname(path), { recursive: true });
  await writePng(path, out, width, height);
}

/** Cuts [n, side, side, 3] into its pictures. */
export function splitPictures(all: Float32Array, n: number): Float32Array[] {
  const size = all.length / n;
  return Array.from({ length: n }, (_, i) => all.slice(i * size, (i + 1) * size));
}
