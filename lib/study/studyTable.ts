import type { AdapterVariant } from '../adapters/adapterSpec.js';
import { type Comparison, compare, copiesByScore, finalMeans, meanPoint, meterAgreement } from './compare.js';
import type { StudyFigures, StudyResults } from './results.js';
import { type StudySettings, studyUnits } from './settings.js';
import { type Interval, MATCHED_SHARE } from './statistics.js';

const NAMES: Readonly<Record<AdapterVariant, string>> = {
  lora: 'LoRA',
  vanilla: 'masked LoRA (`vanilla`)',
  ortho: 'orthogonal LoRA (`ortho`)',
  tlora: 'T-LoRA',
};

const COMPARED: readonly (readonly [AdapterVariant, AdapterVariant])[] = [
  ['tlora', 'lora'],
  ['vanilla', 'lora'],
  ['ortho', 'lora'],
  ['tlora', 'vanilla'],
  ['tlora', 'ortho'],
];

const three = (value: number): string => value.toFixed(3);
const signed = (value: number): string => `${value <= -0.0005 ? '−' : '+'}${Math.abs(value).toFixed(3)}`;
const interval = ({ mean, low, high }: Interval): string => `${signed(mean)} (${signed(low)} … ${signed(high)})`;

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function pointCells({ fidelity, alignment, leakBackground, leakPosition, copies }: StudyFigures): string[] {
  return [fidelity, alignment, leakBackground, leakPosition, copies].map(three);
}

function finalTable(results: StudyResults, { ranks, variants }: StudySettings): string {
  const rows = ranks.flatMap((rank) =>
    variants.flatMap((variant) => {
      const means = finalMeans(results, variant, rank);
      return means ? [[`${NAMES[variant]}, rank ${rank}`, ...pointCells(means)]] : [];
    }),
  );
  const bounds = (['floor', 'oracle', 'pasted'] as const).map((name) => {
    const words = { floor: 'no adapter', oracle: 'true renders', pasted: 'training picture' };
    return [words[name], ...pointCells(meanPoint(results.bounds.map((bound) => bound[name])))];
  });
  return markdown(['at the last step', 'fidelity', 'alignment', 'leak bg', 'leak pos', 'copies'], [...rows, ...bounds]);
}

function comparisonRow({ variant, against, rank, pairs, matched, missed, final }: Comparison): string[] {
  const never = missed.variant + missed.against === 0 ? '–' : `${missed.variant} / ${missed.against}`;
  const differences = [matched, final.alignment, final.fidelity, final.leak].map(interval);
  const [atEqual, ...atEnd] = differences as [string, ...string[]];
  return [`${NAMES[variant]} − ${NAMES[against]}, rank ${rank}`, String(pairs), atEqual, never, ...atEnd];
}

function comparisonTable(results: StudyResults, { ranks, variants }: StudySettings): string {
  const rows = COMPARED.filter((pair) => pair.every((variant) => variants.includes(variant))).flatMap(
    ([variant, against]) =>
      ranks.flatMap((rank) => {
        const comparison = compare(results, variant, against, rank);
        return comparison ? [comparisonRow(comparison)] : [];
      }),
  );
  const head = ['difference', 'runs', 'alignment at equal fidelity', 'never reach it'];
  return markdown([...head, 'alignment at the end', 'fidelity at the end', 'leak at the end'], rows);
}

/** The results that belong to a study of these settings, and the bounds of their concepts. */
export function resultsOf({ runs, bounds }: StudyResults, settings: StudySettings): StudyResults {
  const { concepts, seeds, variants, ranks } = settings;
  const own = runs.filter(
    (run) =>
      concepts.includes(run.concept) && run.seed <= seeds && variants.includes(run.variant) && ranks.includes(run.rank),
  );
  return { runs: own, bounds: bounds.filter(({ concept }) => own.some((run) => run.concept === concept)) };
}

function meterText(results: StudyResults): string {
  const { checkpoints, leak, copies, alignment } = meterAgreement(results);
  const [a, b, c] = [leak, copies, alignment].map((value) => (Number.isNaN(value) ? 'none' : signed(value)));
  return (
    `The overfit meter ([watch.md](watch.md)) sees no evaluator. Over all ${checkpoints} checkpoints its copy score has a rank correlation of ` +
    `${a} with leak, ${b} with near-copies, and ${c} with alignment.`
  );
}

function meterTable(results: StudyResults): string {
  const rows = copiesByScore(results).map(({ from, checkpoints, copies }) => [
    `${from.toFixed(1)} to ${(from + 0.1).toFixed(1)}`,
    `${checkpoints}`,
    `${(100 * copies).toFixed(1)} %`,
  ]);
  return markdown(['copy score', 'checkpoints', 'near-copies'], rows);
}

/** The study as text for docs/mini-model.md. */
export function studyText(all: StudyResults, settings: StudySettings): string {
  const results = resultsOf(all, settings);
  const { concepts, seeds, steps, checkpoints, learningRates, samplerSteps, guidance, variants } = settings;
  const rates = variants.map((variant) => `${variant} ${learningRates[variant]}`).join(', ');
  return [
    `${results.runs.length} of ${studyUnits(settings).length} runs: concepts ${concepts.join(', ')}; ${seeds} training seeds; ${steps} steps, batch 1, judged at ${checkpoints}`,
    `checkpoints with the world's 32 prompts (${samplerSteps} Euler steps, guidance ${guidance}, the same noise for all). Learning rates: ${rates}.`,
    '',
    finalTable(results, settings),
    '',
    comparisonTable(results, settings),
    '',
    `Means over concepts of means over seeds; in brackets 95 % intervals of the hierarchical bootstrap (concepts, then seeds, 10,000 draws), not`,
    `corrected for their number. Fidelity is that of pictures in scenes. Equal fidelity is ${MATCHED_SHARE * 100} % of the best that LoRA of the same`,
    `rank, concept and seed reaches, interpolated between checkpoints; a run that never reaches it counts with the alignment of the training picture`,
    `itself, with which any fidelity can be had. Leak is the mean of background and position.`,
    '',
    meterText(results),
    '',
    meterTable(results),
    '',
  ].join('\n');
}

const [BEGIN, END] = ['<!-- study: written by npm run study:mini -->', '<!-- end of study -->'];

/** A page with the study's section replaced, or added at its end. */
export function withStudy(page: string, text: string): string {
  const section = `${BEGIN}\n\n${text}\n${END}`;
  const [from, until] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || until < from) return `${page.trimEnd()}\n\n## LoRA and T-LoRA on the mini model\n\n${section}\n`;
  return page.slice(0, from) + section + page.slice(until + END.length);
}
