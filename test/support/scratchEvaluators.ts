import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportEvaluators, trainEvaluators } from '../../lib/evaluate/trainEvaluators.js';
import { tinyEvaluators } from '../evaluate/tinyEvaluators.js';

/** Writes evaluators that have learnt for one step, below every gate. What they say means nothing. */
export async function writeScratchEvaluators(to: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tlora-learning-'));
  try {
    const settings = tinyEvaluators(1);
    await trainEvaluators(settings, { dir, threads: 2 });
    const few = { pictures: 4, concepts: 2, references: 2, distractors: 3 };
    await exportEvaluators(settings, { dir, to, threads: 2, anyway: true }, few);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
