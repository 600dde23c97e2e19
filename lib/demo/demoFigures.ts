import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { conceptOf, conceptReference, oraclePictures } from '../evaluate/conceptReference.js';
import { ownReference } from '../evaluate/evaluateRun.js';
import { openEvaluators } from '../evaluate/evaluators.js';
import type { Figures } from '../evaluate/figures.js';
import { judgePictures, pastedPictures, readReference } from '../evaluate/judge.js';
import type { ReportTable } from '../report/page.js';
import type { Prompt } from '../world/prompts.js';
import type { SidePictures } from './demoPictures.js';

/** Whether a folder holds evaluators. */
export function holdsEvaluators(dir: string): boolean {
  return existsSync(join(dir, 'config.json'));
}

/** Mean of what is known. */
function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length;
}

const two = (value: number | null): string => value?.toFixed(2) ?? '–';

/** A row of the table: fidelity in scenes, alignment, leak of background and place, near-copies, time. */
function row(name: string, figures: Figures, time: string): string[] {
  const { fidelityAll, alignment, leakBackground, leakPosition, copies } = figures;
  const leak = mean([leakBackground, leakPosition]);
  return [name, two(fidelityAll), two(alignment), two(leak), two(copies.share), time];
}

const NOTE =
  'Fidelity: likeness to the subject, 1 is the most. Alignment: share of what the prompts ask for that is seen. Leak: how much of the training ' +
  'picture’s background and place shows where another was asked for. Copies: share of near-copies of the training picture. Few pictures of one ' +
  'subject: differences of a few hundredths are chance.';

/**
 * Judges the pictures of all sides.
 * @param seconds of training, by side
 */
export async function judgeSides(
  sides: readonly SidePictures[],
  settings: {
    readonly evaluators: string;
    readonly training: Float32Array;
    readonly prompts: readonly Prompt[];
    readonly seconds: ReadonlyMap<string, number>;
    readonly threads?: number | undefined;
  },
): Promise<ReportTable> {
  const { training, prompts, seconds, threads } = settings;
  const evaluators = await openEvaluators({ dir: settings.evaluators, threads });
  try {
    const concept = conceptOf(training);
    const reference = await readReference(
      evaluators,
      concept === null ? await ownReference(evaluators, training) : conceptReference(concept),
    );
    const rows: string[][] = [];
    for (const { side, judged, ms } of sides) {
      const figures = await judgePictures(evaluators, reference, judged);
      const trained = seconds.get(side.name);
      const time =
        trained === undefined ? `0 + ${(ms / 1000).toFixed(0)}` : `${trained.toFixed(0)} + ${(ms / 1000).toFixed(0)}`;
      rows.push(row(side.name, figures, `${time} s`));
    }
    if (concept !== null) {
      const oracle = await judgePictures(evaluators, reference, oraclePictures(concept, prompts, 1));
      rows.push(row('true renders', oracle, '–'));
    }
    const pasted = await judgePictures(evaluators, reference, pastedPictures(sides[0]!.judged, reference));
    rows.push(row('training picture', pasted, '–'));
    const head = ['', 'fidelity', 'alignment', 'leak', 'copies', 'training + pictures'];
    return { title: 'Figures', head, rows, note: NOTE };
  } finally {
    evaluators.dispose();
  }
}

/** A table as text. */
export function tableText({ head, rows }: ReportTable): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return all.map(line).join('\n');
}
