import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import type { StudySettings, StudyUnit } from './settings.js';

/** What pictures of one checkpoint are worth. */
export interface StudyFigures {
  readonly fidelity: number;
  readonly alignment: number;
  readonly leakBackground: number;
  readonly leakPosition: number;
  readonly copies: number;
}

/** A judged checkpoint; step 0 is the model without an adapter. */
export interface StudyPoint extends StudyFigures {
  readonly step: number;
  /** Of the overfit meter. */
  readonly copyScore: number;
}

/** A finished run. */
export interface StudyResult extends StudyUnit {
  readonly points: readonly StudyPoint[];
  readonly seconds: number;
}

/** What stays the same for all runs on a concept. */
export interface ConceptBounds {
  readonly concept: number;
  /** Without an adapter. */
  readonly floor: StudyFigures;
  /** Renders of the concept as the prompts ask. */
  readonly oracle: StudyFigures;
  /** The training picture, always. */
  readonly pasted: StudyFigures;
}

export interface StudyResults {
  readonly runs: readonly StudyResult[];
  readonly bounds: readonly ConceptBounds[];
}

/** Settings that may be widened while a study goes on: they only say which runs belong to it. */
const MAY_CHANGE = new Set(['concepts', 'seeds', 'variants', 'ranks']);

const fixed = (settings: StudySettings): string =>
  JSON.stringify(Object.entries(settings).filter(([name]) => !MAY_CHANGE.has(name)));

/**
 * Takes a folder for a study, or goes on with the one in it.
 * @throws ConfigError if its runs are trained or judged in another way, or if the checkpoints do not divide the steps
 */
export async function claimStudy(dir: string, settings: StudySettings): Promise<void> {
  const { steps, checkpoints } = settings;
  if (steps % checkpoints !== 0)
    throw new ConfigError(`checkpoints: expected a number that divides the ${steps} steps, got ${checkpoints}`);
  mkdirSync(dir, { recursive: true });
  const path = join(dir, 'settings.json');
  if (existsSync(path)) {
    const earlier = JSON.parse(readFileSync(path, 'utf8')) as StudySettings;
    if (fixed(earlier) !== fixed(settings))
      throw new ConfigError(
        `out: expected the settings ${fixed(earlier)} of the study in ${dir}, got ${fixed(settings)}`,
        {
          hint: 'Give another --out for other steps, checkpoints or learning rates.',
        },
      );
  }
  await writeFileAtomic(path, `${JSON.stringify(settings, null, 2)}\n`);
}

const linesPath = (dir: string): string => join(dir, 'results.jsonl');

/** Adds a finished run or a concept's bounds. */
export function addResult(dir: string, line: StudyResult | ConceptBounds): void {
  appendFileSync(linesPath(dir), `${JSON.stringify(line)}\n`);
}

/** All results of a folder; a last line that was cut off is left out. */
export function readResults(dir: string): StudyResults {
  const text = existsSync(linesPath(dir)) ? readFileSync(linesPath(dir), 'utf8') : '';
  const lines = text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as object];
    } catch {
      return [];
    }
  });
  return {
    runs: lines.filter((line): line is StudyResult => 'points' in line),
    bounds: lines.filter((line): line is ConceptBounds => 'floor' in line),
  };
}

/** Whether a result is that of a unit. */
export function isOf(result: StudyUnit, unit: StudyUnit): boolean {
  return (
    result.concept === unit.concept &&
    result.seed === unit.seed &&
    result.variant === unit.variant &&
    result.rank === unit.rank
  );
}
