// The algorithms that a CUDA device's libraries choose: the same ones give the same bits, so a run keeps them and goes on with them.
import { existsSync } from 'node:fs';
import { DeviceError, FileFormatError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { readJsonObject } from '../io/jsonFile.js';
import type { CacheWarning } from '../pipeline/algorithmCache.js';
import type { Session } from '../pipeline/session.js';
import type { RunFolder } from './runFolder.js';
import type { RunControl } from './trainingRun.js';

/** As the engine gives them (Engine.choices), '' for none: of the encoding of pictures and prompts, and of training. */
export interface Algorithms {
  readonly encode: string;
  readonly train: string;
  /** Memory that the engine of the training took for attention: algorithms that need it are chosen for it. */
  readonly attentionBytes: number;
}

/** Those of a new run. */
export const NO_ALGORITHMS: Algorithms = { encode: '', train: '', attentionBytes: 0 };

/** Those of the run in a folder. @throws FileFormatError */
export function readAlgorithms({ algorithmsPath }: RunFolder): Algorithms {
  if (!existsSync(algorithmsPath)) return NO_ALGORITHMS;
  const { encode, train, attentionBytes } = readJsonObject(algorithmsPath);
  const text = (value: unknown): string => (value === undefined ? '' : JSON.stringify(value));
  const bytes = attentionBytes ?? 0;
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) {
    throw new FileFormatError(
      `${algorithmsPath}: attentionBytes: expected a whole number, got ${JSON.stringify(bytes)}`,
      { hint: 'The file is damaged. Without it the run goes on with algorithms that are chosen anew.' },
    );
  }
  return { encode: text(encode), train: text(train), attentionBytes: bytes as number };
}

/** Writes them, where there are any. @throws FileWriteError */
export async function writeAlgorithms(
  { algorithmsPath }: RunFolder,
  { encode, train, attentionBytes }: Algorithms,
): Promise<void> {
  if (encode === '' && train === '') return;
  const parsed = (text: string): unknown => (text === '' ? undefined : JSON.parse(text));
  await writeFileAtomic(
    algorithmsPath,
    `${JSON.stringify({ encode: parsed(encode), train: parsed(train), attentionBytes }, null, 2)}\n`,
  );
}

/** Goes on with algorithms chosen earlier; on another device, or with other libraries, says so and lets them choose anew. */
export function useAlgorithms({ engine }: Session, chosen: string, { emit }: Pick<RunControl, 'emit'>): void {
  if (chosen === '') return;
  try {
    engine.useChoices(chosen);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    const message = `the steps from here on may differ in their last bits from those of an uninterrupted run: ${error.message}`;
    emit({ type: 'warning', code: 'ALGORITHMS_CHANGED', message });
  }
}

/** What is wrong with the user's cache of algorithms, as an event of the run. */
export function cacheWarning({ emit }: Pick<RunControl, 'emit'>): CacheWarning {
  return (message) => emit({ type: 'warning', code: 'ALGORITHM_CACHE', message });
}
