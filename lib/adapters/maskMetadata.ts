// `tlora.mask` in the metadata of a plain LoRA that was a T-LoRA: its rank mask, which other programs do not know.
import { FileFormatError } from '../errors.js';
import type { AssumedMask } from './adapterFile.js';
import { type RankSchedule, validateRankSchedule } from './rankSchedule.js';

const KEY = 'tlora.mask';

/** @param perRank components of the file for each rank of the schedule */
export function maskMetadata(schedule: RankSchedule, perRank: number): Record<string, string> {
  return { [KEY]: JSON.stringify({ ...schedule, perRank }) };
}

/** The mask in a file's metadata; null: it names none. @throws FileFormatError */
export function readMask(path: string, metadata: Readonly<Record<string, string>>): AssumedMask | null {
  const text = metadata[KEY];
  if (text === undefined) return null;
  try {
    const { T, maxRank, minRank, alpha, perRank } = JSON.parse(text) as RankSchedule & { perRank: number };
    validateRankSchedule({ T, maxRank, minRank, alpha });
    if (perRank === 1 || perRank === 2) return { T, maxRank, minRank, alpha, perRank, recorded: true };
  } catch {}
  throw new FileFormatError(`[adapter] ${path}: metadata ${KEY}: expected a rank schedule, got ${text.slice(0, 80)}`, {
    hint: 'The file is damaged, or was changed after it was saved.',
  });
}
