import type { EmbeddedPicture } from '../io/pictureUri.js';
import { escapeHtml, shown } from './html.js';
import { allWatched, bandCharts, copyChart, effectiveRankChart, rankChart } from './runCharts.js';
import type { RunFacts } from './runFacts.js';
import { STYLE } from './style.js';

/** Pictures of one prompt from one side, from the same noise as those beside them. */
export interface PictureCell {
  readonly label: string;
  /** Of the page; that of the run, if it is a run's. */
  readonly colour: number;
  readonly pictures: readonly EmbeddedPicture[];
}

export interface PictureRow {
  readonly prompt: string;
  readonly cells: readonly PictureCell[];
}

/** A table with its first column as names. */
export interface ReportTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly note: string;
  /** Only as wide as it needs to be. */
  readonly narrow?: boolean;
}

export interface ReportContent {
  readonly title: string;
  readonly lead: string;
  readonly runs: readonly RunFacts[];
  readonly rows: readonly PictureRow[];
  /** What the pictures are. */
  readonly rowsNote: string;
  readonly tables: readonly ReportTable[];
  readonly commands: readonly { readonly text: string; readonly command: string }[];
}

function image({ uri, width, height }: EmbeddedPicture, alt: string, colour?: number): string {
  const names = [Math.max(width, height) <= 128 ? 'small' : '', colour === undefined ? '' : `s${colour}`];
  return `<img class="${names.filter(Boolean).join(' ')}" src="${uri}" width="${width}" height="${height}" alt="${escapeHtml(alt)}">`;
}

const section = (title: string, body: string): string => `<section><h2>${escapeHtml(title)}</h2>${body}</section>`;

function pictureRow({ prompt, cells }: PictureRow): string {
  const sides = cells.map(({ label, colour, pictures }) => {
    const shownPictures = pictures.map((picture) => image(picture, `${label}: ${prompt}`, colour)).join('');
    return `<div class="cell"><span>${escapeHtml(label)}</span>${shownPictures}</div>`;
  });
  return `<div class="card row"><h3>${escapeHtml(prompt)}</h3><div class="cells">${sides.join('')}</div></div>`;
}

function table({ title, head, rows, note, narrow = false }: ReportTable): string {
  const headRow = `<tr>${head.map((name) => `<th>${escapeHtml(name)}</th>`).join('')}</tr>`;
  const body = rows.map((row) => {
    const differs = narrow && head.length > 2 && new Set(row.slice(1)).size > 1 ? ' class="differs"' : '';
    return `<tr${differs}>${row.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;
  });
  const soft = note === '' ? '' : `<p class="soft">${escapeHtml(note)}</p>`;
  return section(
    title,
    `<div class="card scroll"><table${narrow ? ' class="settings"' : ''}>${headRow}${body.join('')}</table></div>${soft}`,
  );
}

/** Settings that say where things lie or how a run is followed, and not how it learns. */
const NOT_SHOWN = new Set([
  'format',
  'claim',
  'modelDigest',
  'tokenizerDigest',
  'imageDigests',
  'model',
  'images',
  'watch',
  'sample',
  'saveEvery',
  'threads',
  'device',
  'memory',
]);

function settingText(value: unknown): string {
  return value === undefined || value === null
    ? '–'
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value);
}

/** Settings of all runs, a column each; names in bold where the runs differ. */
function settingsTable(runs: readonly RunFacts[]): ReportTable {
  const names = [...new Set(runs.flatMap(({ config }) => Object.keys(config)))].filter((name) => !NOT_SHOWN.has(name));
  return {
    title: 'Settings',
    head: ['', ...runs.map(({ label }) => label)],
    rows: names.map((name) => [name, ...runs.map(({ config }) => settingText(config[name]))]),
    note: runs.length > 1 ? 'Names in bold: the runs differ.' : '',
    narrow: true,
  };
}

function runText({ label, log, verdict, watches }: RunFacts): string {
  const steps = log.steps.at(-1)?.step ?? 0;
  const seconds = log.steps.reduce((sum, { stepMs }) => sum + stepMs, 0) / 1000;
  const time = `${steps} steps in ${shown(seconds)} s`;
  if (watches.length === 0) return `${label}: ${time}, not watched`;
  const copying = verdict.copyingFrom === null ? 'no copying seen' : `copying starts at step ${verdict.copyingFrom}`;
  return `${label}: ${time}; ${copying}; best checkpoint: step ${verdict.best}`;
}

/** Which colour is which run. */
function keyLine(runs: readonly RunFacts[]): string {
  const keys = runs.map(
    ({ label, colour }) => `<span class="key"><i class="s${colour}"></i>${escapeHtml(label)}</span>`,
  );
  return `<p>${keys.join('')}</p>`;
}

function head({ title, lead, runs }: ReportContent): string {
  const training = runs.find((run) => run.training !== null)?.training;
  const picture = training
    ? `<div class="card training">${image(training, 'the training picture')}<p class="soft">The one training picture.</p></div>`
    : '';
  const texts = runs.map((run) => `<p>${escapeHtml(runText(run))}</p>`).join('');
  return `<h1>${escapeHtml(title)}</h1><p class="soft">${escapeHtml(lead)}</p><div class="lead">${picture}<div>${keyLine(runs)}${texts}</div></div>`;
}

function lossSection(runs: readonly RunFacts[]): string {
  const charts = bandCharts(runs);
  if (charts.length === 0) return '';
  const watched = allWatched(runs);
  const note = watched
    ? 'Shares of the losses without adapters, for the training picture, with timesteps and noise that are the same at every step. Dots: best checkpoint.'
    : 'Means of the training losses of the steps that fell into the band; their noise differs from step to step. Train with --watch for held noise.';
  const all = watched ? [...charts, copyChart(runs)] : charts;
  return section(
    'Loss by timestep band',
    `<p class="soft">${note}</p>${keyLine(runs)}<div class="charts">${all.join('')}</div>`,
  );
}

function rankSection(runs: readonly RunFacts[]): string {
  const effective = effectiveRankChart(runs);
  const note = effective
    ? 'The bars say how many directions of a weight the adapter really uses, all components active; with an orthogonal start the change is a difference and may use up to twice its rank. Tips name two more measures.'
    : 'Compact adapters do not hold their start, so their effective rank is not known.';
  const charts = `<div class="charts">${rankChart(runs)}${effective ?? ''}</div>`;
  return section('Rank', `<p class="soft">${note}</p>${keyLine(runs)}${charts}`);
}

/** One page that needs nothing else: no script, no file, no address. */
export function reportPage(content: ReportContent): string {
  const { title, runs, rows, rowsNote, tables, commands } = content;
  const pictures =
    rows.length === 0
      ? ''
      : section(
          'Pictures',
          `<p class="soft">${escapeHtml(rowsNote)}</p><div class="rows">${rows.map(pictureRow).join('')}</div>`,
        );
  const next = commands.map(
    ({ text, command }) => `<p>${escapeHtml(text)}</p><pre><code>${escapeHtml(command)}</code></pre>`,
  );
  const body = [
    head(content),
    ...tables.map(table),
    pictures,
    lossSection(runs),
    rankSection(runs),
    table(settingsTable(runs)),
    next.length === 0 ? '' : section('Go on', next.join('')),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body><main>
${body.filter(Boolean).join('\n')}
<footer>Made by tlora. This page holds all it needs and can be sent as it is.</footer>
</main></body>
</html>
`;
}
