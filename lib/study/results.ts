import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { readJsonObject } from '../io/jsonFile.js';
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

/** Checksums of what a study's runs are trained on and judged by. */
export interface StudyWeights {
  readonly model: string;
  readonly evaluators: string;
}

const settingsPath = (dir: string): string => join(dir, 'settings.json');

/**
 * Compares settings with those of the study in a folder, if there is one.
 * @throws ConfigError that names the first setting by which its runs are trained or judged in another way
 */
export function expectSameStudy(dir: string, settings: StudySettings & { readonly weights?: StudyWeights }): void {
  if (!existsSync(settingsPath(dir))) return;
  const earlier = readJsonObject(settingsPath(dir));
  for (const [name, value] of Object.entries(settings)) {
    const [was, is] = [JSON.stringify(earlier[name]), JSON.stringify(value)];
    if (MAY_CHANGE.has(name) || was === is) continue;
    throw new ConfigError(`${name}: expected ${was ?? 'none'}, as in the study in ${dir}, got ${is}`, {
      hint: 'A study compares runs that are trained and judged alike: give the same again, or another --out.',
    });
  }
}

/**
 * Takes a folder for a study, or goes on with the one in it.
 * @throws ConfigError if its runs are trained or judged in another way, for no seeds, or if the checkpoints do not divide the steps
 */
export async function claimStudy(dir: string, settings: StudySettings, weights: StudyWeights): Promise<void> {
  const { steps, checkpoints, seeds } = settings;
  if (steps % checkpoints !== 0)
    throw new ConfigError(`checkpoints: expected a number that divides the ${steps} steps, got ${checkpoints}`);
  if (!Number.isInteger(seeds) || seeds < 1)
    throw new ConfigError(`seeds: expected a whole number of at least 1, got ${seeds}`);
  mkdirSync(dir, { recursive: true });
  const all = { ...settings, weights };
  expectSameStudy(dir, all);
  await writeFileAtomic(settingsPath(dir), `${JSON.stringify(all, null, 2)}\n`);
}

const linesPath = (dir: string): string => join(dir, 'results.jsonl');

const textOf = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');

/** Adds a finished run or a concept's bounds, on a line of its own even if the last one was cut off. */
export function addResult(dir: string, line: StudyResult | ConceptBounds): void {
  const path = linesPath(dir);
  const isCut = !/(^|\n)$/.test(textOf(path));
  appendFileSync(path, `${isCut ? '\n' : ''}${JSON.stringify(line)}\n`);
}

/** All results of a folder; lines that were cut off are left out. */
export function readResults(dir: string): StudyResults {
  const lines = textOf(linesPath(dir))
    .split('\n')
    .flatMap((line) => {
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
