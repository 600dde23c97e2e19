import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { ConfigError, FileFormatError } from '../errors.js';
import { readSafetensorsHeader, readTensorFloat32, type TensorToWrite, writeSafetensors } from '../io/safetensors.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { ensureState, type Session } from '../pipeline/session.js';

const FORMAT = '1';

/** Everything besides `config.json` that the next step depends on: trained values, their start, moments and the step. */
export interface SavedState {
  /** Steps finished. */
  readonly step: number;
}

function fingerprint(layout: FlatLayout): string {
  const hash = createHash('sha256');
  for (const [name, { offset, shape }] of layout.entries) hash.update(`${name} ${offset} ${shape.join('x')}\n`);
  return hash.digest('hex');
}

function buffer(session: Session, key: string, total: number): TensorToWrite {
  return { key, dtype: 'F32', shape: [total], data: () => session.engine.readState(key, 0, total) };
}

/** State buffers that a checkpoint holds. */
function stateNames(session: Session): string[] {
  return ['params', 'base', 'm', 'v'].filter((name) => session.states.has(name));
}

/** Writes the state of a run after `step` steps: whole or not at all. */
export async function saveTrainState(path: string, session: Session, layout: FlatLayout, step: number): Promise<void> {
  const names = stateNames(session);
  const metadata = { format: FORMAT, step: `${step}`, layout: fingerprint(layout), buffers: names.join() };
  await writeSafetensors(
    path,
    names.map((name) => buffer(session, name, layout.total)),
    metadata,
  );
}

/**
 * Reads a state back into the session's buffers.
 * @throws ConfigError if there is none; FileFormatError if it is broken or of other adapters
 */
export function loadTrainState(path: string, session: Session, layout: FlatLayout): SavedState {
  if (!existsSync(path)) {
    throw new ConfigError(`resume: expected the state of a run at '${path}', found none`, {
      hint: 'The run was stopped before its first checkpoint: start it again with --overwrite.',
    });
  }
  const file = readSafetensorsHeader(path);
  const { format, step, layout: of } = file.metadata;
  const steps = Number(step);
  if (format !== FORMAT || !Number.isInteger(steps) || steps < 0) {
    throw new FileFormatError(
      `${path}: expected a training state of format ${FORMAT}, got format ${format}, step ${step}`,
    );
  }
  if (of !== fingerprint(layout)) {
    throw new FileFormatError(
      `${path}: it holds the state of other layers or another rank than these settings describe`,
      {
        hint: 'Resume with the settings of the run, which stand in its config.json.',
      },
    );
  }
  for (const [name, ref] of file.tensors) {
    const values = readTensorFloat32(ref);
    if (values.length !== layout.total) {
      throw new FileFormatError(`${path}: ${name}: expected ${layout.total} values, got ${values.length}`);
    }
    ensureState(session, name, layout.total);
    session.engine.writeState(name, 0, values);
  }
  return { step: steps };
}
