import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { ConfigError, FileFormatError, NonFiniteError } from '../errors.js';
import {
  readSafetensorsHeader,
  readTensorFloat32,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from '../io/safetensors.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { ensureState, type Session } from '../pipeline/session.js';
import type { LossScale } from './stepRecord.js';

const FORMAT = '1';

/** Scale of the loss, finite steps since it changed and steps applied, [3]; in float16 runs only. */
const LOSS_SCALE = 'lossScale';

/** Values of one tensor of the file: a buffer is cut into pieces, so that JavaScript never holds a whole one. */
const PIECE = 2 ** 22;

/** Everything besides `config.json` that the next step depends on: trained values, their start, moments and the step. */
export interface SavedState {
  readonly file: SafetensorsFile;
  /** Steps finished. */
  readonly step: number;
  /** Of a run in float16. */
  readonly lossScale: LossScale | null;
}

function fingerprint(layout: FlatLayout): string {
  const hash = createHash('sha256');
  for (const [name, { offset, shape }] of layout.entries) hash.update(`${name} ${offset} ${shape.join('x')}\n`);
  return hash.digest('hex');
}

/** A part of a state buffer: `<buffer>.<number>`. */
interface Piece {
  readonly key: string;
  readonly buffer: string;
  readonly offset: number;
  readonly count: number;
}

function pieces(buffer: string, total: number): Piece[] {
  return Array.from({ length: Math.ceil(total / PIECE) }, (_, i) => ({
    key: `${buffer}.${String(i).padStart(4, '0')}`,
    buffer,
    offset: i * PIECE,
    count: Math.min(PIECE, total - i * PIECE),
  }));
}

/** State buffers that a checkpoint holds. */
function stateNames(session: Session): string[] {
  return ['params', 'base', 'ema', 'm', 'v'].filter((name) => session.states.has(name));
}

/**
 * Writes the state of a run after `step` steps: whole or not at all.
 * @param options signal ends the writing between two pieces
 * @throws FileWriteError; NonFiniteError for values that no run could go on with; the reason of the signal
 */
export async function saveTrainState(
  path: string,
  session: Session,
  layout: FlatLayout,
  step: number,
  { signal, lossScale }: { signal?: AbortSignal | undefined; lossScale?: LossScale | null } = {},
): Promise<void> {
  const names = stateNames(session);
  const metadata = { format: FORMAT, step: `${step}`, layout: fingerprint(layout), buffers: names.join() };
  const tensors = names.flatMap((name) =>
    pieces(name, layout.total).map(({ key, buffer, offset, count }): TensorToWrite => {
      const data = (): Float32Array => {
        signal?.throwIfAborted();
        const values = session.engine.readState(buffer, offset, count);
        if (!values.every(Number.isFinite)) throw notFinite(buffer, step);
        return values;
      };
      return { key, dtype: 'F32', shape: [count], data };
    }),
  );
  if (lossScale) {
    const data = (): Float32Array => Float32Array.of(lossScale.scale, lossScale.good, lossScale.applied);
    tensors.push({ key: LOSS_SCALE, dtype: 'F32', shape: [3], data });
  }
  await writeSafetensors(path, tensors, metadata);
}

/** @param step what was counted as applied by states that hold no third number */
function readLossScale({ tensors }: SafetensorsFile, step: number): LossScale | null {
  const ref = tensors.get(LOSS_SCALE);
  if (!ref) return null;
  const [scale, good, applied = step] = readTensorFloat32(ref);
  return { scale: scale!, good: good!, applied };
}

function notFinite(buffer: string, step: number): NonFiniteError {
  const what = buffer === 'params' ? 'trained values' : 'optimizer’s moments';
  return new NonFiniteError(`step ${step}: the ${what} are not finite any more, nothing was saved`, {
    hint: 'Lower --learning-rate, or give --clip 1.',
  });
}

/**
 * Opens a state and checks that it fits; reads no values.
 * @throws ConfigError if there is none; FileFormatError if it is broken or of other adapters
 */
export function openTrainState(path: string, layout: FlatLayout): SavedState {
  if (!existsSync(path)) {
    throw new ConfigError(`resume: expected the state of a run at '${path}', found none`, {
      hint: 'The run was stopped before its first checkpoint: start it again with --overwrite.',
    });
  }
  const file = readSafetensorsHeader(path);
  const { format, step: steps, layout: of } = file.metadata;
  const step = Number(steps);
  if (format !== FORMAT || !Number.isInteger(step) || step < 0) {
    throw new FileFormatError(
      `${path}: expected a training state of format ${FORMAT}, got format ${format}, step ${steps}`,
    );
  }
  if (of !== fingerprint(layout)) {
    throw new FileFormatError(
      `${path}: it holds the state of other layers or another rank than these settings describe`,
      { hint: 'Resume with the settings of the run, which stand in its config.json.' },
    );
  }
  for (const piece of savedPieces(file, layout)) expectPiece(file, piece);
  return { file, step, lossScale: readLossScale(file, step) };
}

function savedPieces(file: SafetensorsFile, layout: FlatLayout): Piece[] {
  return (file.metadata.buffers ?? '').split(',').flatMap((name) => pieces(name, layout.total));
}

function expectPiece({ path, tensors }: SafetensorsFile, { key, count }: Piece): void {
  const ref = tensors.get(key);
  if (ref?.dtype === 'F32' && ref.shape.length === 1 && ref.shape[0] === count) return;
  const got = ref ? `${ref.dtype} [${ref.shape}]` : 'no such key';
  throw new FileFormatError(`${path}: ${key}: expected F32 [${count}], got ${got}`);
}

/** Reads a state into the session's buffers, piece by piece, so that events are still heard. */
export async function readTrainState({ file }: SavedState, session: Session, layout: FlatLayout): Promise<void> {
  for (const { key, buffer, offset } of savedPieces(file, layout)) {
    ensureState(session, buffer, layout.total);
    session.engine.writeState(buffer, offset, readTensorFloat32(file.tensors.get(key)!));
    await turn();
  }
}
