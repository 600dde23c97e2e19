import type sharp from 'sharp';
import { FileFormatError } from '../errors.js';

/** sharp, loaded when the first picture is touched: everything else works without its binary. */
export async function loadSharp(): Promise<typeof sharp> {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    throw new FileFormatError('Pictures cannot be read or written: the package sharp did not load.', {
      cause,
      hint: `Install it for this machine: npm install --include=optional --os=${process.platform} --cpu=${process.arch} sharp`,
    });
  }
}
