import type { Evaluation } from './evaluatePictures.js';
import type { Figures } from './figures.js';

/** Columns of the table: what they are called, and which figure they show. */
const COLUMNS: readonly (readonly [string, (figures: Figures) => number | null])[] = [
  ['fidelity', ({ fidelity }) => fidelity],
  ['in scenes', ({ fidelityAll }) => fidelityAll],
  ['identified', ({ identified }) => identified],
  ['alignment', ({ alignment }) => alignment],
  ['text', ({ textSimilarity }) => textSimilarity],
  ['leak bg', ({ leakBackground }) => leakBackground],
  ['leak pos', ({ leakPosition }) => leakPosition],
  ['copies', ({ copies }) => copies.share],
  ['of subject', ({ copiesMasked }) => copiesMasked?.share ?? null],
  ['diversity', ({ diversity }) => diversity],
];

const ROWS: readonly (readonly [string, (evaluation: Evaluation) => Figures | null])[] = [
  ['pictures', ({ pictures }) => pictures],
  ['oracle', ({ oracle }) => oracle],
  ['floor', ({ floor }) => floor],
  ['pasted', ({ pasted }) => pasted],
];

/** The figures as text: a row for the pictures and each row of comparison, numbers with three decimals, – for what is unknown. */
export function evaluationTable(evaluation: Evaluation): string {
  const rows = ROWS.flatMap(([name, of]) => {
    const figures = of(evaluation);
    return figures === null ? [] : [[name, ...COLUMNS.map(([, value]) => value(figures)?.toFixed(3) ?? '–')]];
  });
  const all = [['', ...COLUMNS.map(([name]) => name)], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return `${all.map(line).join('\n')}\n`;
}
