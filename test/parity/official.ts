import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { layoutOf, openAdapter, writeAdapter } from '../../lib/adapters/openAdapter.js';
import { readSafetensorsHeader, readTensorBytes } from '../../lib/io/safetensors.js';
import { ensureAdapterStates } from '../../lib/train/startAdapters.js';
import { withOfficialFile } from './adapterValues.js';
import { BOUNDS } from './bounds.js';
import type { Checks } from './checks.js';
import type { Pipeline } from './pipeline.js';
import { openReference, type Reference } from './reference.js';

/** What differs between two files in keys, shapes or bytes of tensors. */
function differences(a: string, b: string): string[] {
  const [first, second] = [readSafetensorsHeader(a).tensors, readSafetensorsHeader(b).tensors];
  const keys = new Set([...first.keys(), ...second.keys()]);
  return [...keys].filter((key) => {
    const [x, y] = [first.get(key), second.get(key)];
    if (!x || !y || x.dtype !== y.dtype || x.shape.join() !== y.shape.join()) return true;
    return !Buffer.from(readTensorBytes(x)).equals(Buffer.from(readTensorBytes(y)));
  });
}

/** The values of the file are those at the end of training, the frozen ones those of its start. */
function checkValues(file: Reference, trained: Reference, checks: Checks): void {
  const compared = file.keys.map((key) => {
    const full = [`final.${key}`, `init.${key}`].find((name) => trained.has(name));
    return { name: key, ours: file.floats(key), theirs: full === undefined ? [] : trained.floats(full) };
  });
  checks.each('equal to the trained values', compared, BOUNDS.exact);
}

/** A checkpoint in the authors' layout: its values, and the same file again after reading and writing it. */
export async function checkOfficial({ session }: Pipeline, folder: string, checks: Checks): Promise<void> {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.safetensors'))) {
    const path = join(folder, name);
    const trained = join(dirname(folder), `${basename(folder).replace(/^official/, 'train')}.safetensors`);
    checkValues(openReference(path), openReference(trained), checks);
    const file = openAdapter(path);
    const layout = layoutOf(file);
    ensureAdapterStates(session, layout, ['params', 'base']);
    writeAdapter(file, layout, session.engine);
    const different = await withOfficialFile(session, layout, (written) => differences(path, written));
    checks.bounded('read and written back', different.length, BOUNDS.exact, different[0]);
  }
}
