import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReadValue } from '../../lib/adapters/adapterFile.js';
import type { AdapterLayout } from '../../lib/adapters/adapterLayout.js';
import { saveOfficialFile } from '../../lib/adapters/officialFile.js';
import { layoutOf, openAdapter, writeAdapter } from '../../lib/adapters/openAdapter.js';
import {
  readSafetensorsHeader,
  readTensorFloat32,
  type TensorToWrite,
  writeSafetensors,
} from '../../lib/io/safetensors.js';
import type { Session } from '../../lib/pipeline/session.js';
import { ensureAdapterStates } from '../../lib/train/startAdapters.js';
import type { Reference } from './reference.js';

/** Runs `body` with the path of a file that is gone afterwards. */
async function withTemporaryFile<T>(body: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'tlora-parity-'));
  try {
    return await body(join(folder, 'pytorch_lora_weights.safetensors'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Keys of a reference below `prefix`, such as `init.`, without it. */
export function keysBelow(reference: Reference, prefix: string): string[] {
  return reference.keys.flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
}

/**
 * Loads an adapter of a reference file into `params` and `base` as users load the authors' checkpoints: its tensors below
 * `prefix`, with what these lack (the frozen start) from below `init.`, written as such a checkpoint and opened again.
 */
export function loadAdapter(session: Session, reference: Reference, prefix: string): Promise<AdapterLayout> {
  const keys = new Set([...keysBelow(reference, prefix), ...keysBelow(reference, 'init.')]);
  const tensors = [...keys].map((key): TensorToWrite => {
    const full = reference.has(prefix + key) ? prefix + key : `init.${key}`;
    return { key, dtype: 'F32', shape: reference.shape(full), data: () => reference.floats(full) };
  });
  return withTemporaryFile(async (path) => {
    await writeSafetensors(path, tensors);
    const file = openAdapter(path);
    const layout = layoutOf(file);
    ensureAdapterStates(session, layout, ['params', 'base', 'grads', 'm', 'v']);
    for (const name of ['grads', 'm', 'v']) session.engine.writeState(name, 0, new Float32Array(layout.flat.total));
    writeAdapter(file, layout, session.engine);
    return layout;
  });
}

/** Reads values of a session by their names. */
export function readFrom(session: Session, layout: AdapterLayout, trained = 'params'): ReadValue {
  return (buffer, name) => {
    const { offset, count } = layout.flat.entries.get(name)!;
    return session.engine.readState(buffer === 'params' ? trained : buffer, offset, count);
  };
}

/** Values of a flat buffer by the authors' keys. */
export function valuesByKey(
  session: Session,
  layout: AdapterLayout,
  trained: string,
): Promise<Map<string, Float32Array>> {
  return withTemporaryFile(async (path) => {
    await saveOfficialFile(path, layout, readFrom(session, layout, trained));
    const { tensors } = readSafetensorsHeader(path);
    return new Map([...tensors].map(([key, ref]) => [key, readTensorFloat32(ref)]));
  });
}

/** Saves the session's adapter in the authors' layout and hands its path to `body`. */
export function withOfficialFile<T>(session: Session, layout: AdapterLayout, body: (path: string) => T): Promise<T> {
  return withTemporaryFile(async (path) => {
    await saveOfficialFile(path, layout, readFrom(session, layout));
    return body(path);
  });
}
