// The charts of a report, from the facts of its runs.
import { activeRank } from '../adapters/rankSchedule.js';
import { COPYING, WATCH_BANDS } from '../train/watchFigures.js';
import { barChart, lineChart, type Series } from './chart.js';
import { shown } from './html.js';
import type { RunFacts } from './runFacts.js';

/** Points that a line of training losses has at most. */
const POINTS = 24;

/** "t 0–199", and what the band's pictures look like. */
function bandTitle(band: number, T: number): string {
  const from = Math.floor((band * T) / WATCH_BANDS);
  const until = Math.floor(((band + 1) * T) / WATCH_BANDS) - 1;
  const noise = band === 0 ? ', little noise' : band === WATCH_BANDS - 1 ? ', most noise' : '';
  return `t ${from}–${until}${noise}`;
}

/** Training losses of a band, as means over equal parts of the run: (step, loss). */
export function bandMeans(run: Pick<RunFacts, 'log' | 'schedule'>, band: number): [number, number][] {
  const { steps } = run.log;
  const last = steps.at(-1)?.step ?? 1;
  const parts = Array.from({ length: Math.min(POINTS, Math.ceil(last / 15)) }, () => ({ sum: 0, count: 0 }));
  for (const { step, loss, losses, timesteps } of steps) {
    const part = parts[Math.min(parts.length - 1, Math.floor(((step - 1) * parts.length) / last))]!;
    timesteps.forEach((t, i) => {
      const own = losses?.[i] ?? (timesteps.length === 1 ? loss : undefined);
      if (own === undefined || Math.floor((t * WATCH_BANDS) / run.schedule.T) !== band) return;
      part.sum += own;
      part.count++;
    });
  }
  return parts.flatMap(({ sum, count }, i): [number, number][] =>
    count === 0 ? [] : [[Math.round(((i + 0.5) * last) / parts.length), sum / count]],
  );
}

function bestMark({ verdict }: RunFacts): Series['mark'] {
  return verdict.best === null ? undefined : { x: verdict.best, label: `best checkpoint: step ${verdict.best}` };
}

/** Whether every run was watched often enough for lines. */
export function allWatched(runs: readonly RunFacts[]): boolean {
  return runs.every(({ watches }) => watches.length > 1);
}

/** Loss by timestep band: held noise where the runs were watched, else means of the training losses. */
export function bandCharts(runs: readonly RunFacts[]): string[] {
  const watched = allWatched(runs);
  return Array.from({ length: WATCH_BANDS }, (_, band) => {
    const series = runs.flatMap((run): Series[] => {
      const points = watched
        ? [[0, 1] as const, ...run.watches.map(({ step, shares }) => [step, shares[band]!] as const)]
        : bandMeans(run, band);
      const mark = watched ? bestMark(run) : undefined;
      return points.length > 1 ? [{ label: run.label, colour: run.colour, points, mark }] : [];
    });
    const title = bandTitle(band, runs[0]!.schedule.T);
    return series.length === 0 ? '' : lineChart({ title, xLabel: 'step', series, fromZero: false });
  }).filter((chart) => chart !== '');
}

/** How far each run has gone to a copy. */
export function copyChart(runs: readonly RunFacts[]): string {
  const series = runs.map((run) => ({
    label: run.label,
    colour: run.colour,
    points: [[0, 0] as const, ...run.watches.map(({ step, copy }) => [step, copy] as const)],
    mark: bestMark(run),
  }));
  return lineChart({
    title: 'Copy score, 0: not at all, 1: the training picture',
    xLabel: 'step',
    series,
    rule: { y: COPYING, label: 'copying starts' },
  });
}

/** r(t) of each run. */
export function rankChart(runs: readonly RunFacts[]): string {
  const { T } = runs[0]!.schedule;
  const series = runs.map(({ label, colour, schedule, masked }) => ({
    ...{ label, colour },
    points: Array.from({ length: 101 }, (_, i) => {
      const t = (i * T) / 100;
      return [t, masked ? activeRank(schedule, Math.floor(t)) : schedule.maxRank] as const;
    }),
  }));
  return lineChart({ title: 'Active components r(t)', xLabel: 'timestep t, more noise to the right', series });
}

/** Effective ranks of the changes, by group of layers; null where no run's file tells them. */
export function effectiveRankChart(runs: readonly RunFacts[]): string | null {
  const known = runs.filter((run) => run.ranks !== null);
  if (known.length === 0) return null;
  const groups = [...new Set(known.flatMap(({ ranks }) => [...ranks!.keys()]))].map((label) => ({
    label,
    bars: known.flatMap(({ ranks, colour, label: name }) => {
      const own = ranks!.get(label);
      if (!own) return [];
      const { entropy, participation, share95, layers } = own;
      const title = `${name}: entropy ${shown(entropy)}, participation ${shown(participation)}, 95 % in ${shown(share95)}; mean of ${layers} layers`;
      return [{ colour, value: entropy, title }];
    }),
  }));
  return barChart('Effective rank of the change ΔW: exp of the entropy of its singular values', groups);
}
