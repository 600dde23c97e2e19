import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { writeFileAtomic } from '../io/atomicFile.js';

/** One line of a stage's log: means over the steps since the line before. */
export interface LogLine {
  readonly step: number;
  readonly loss: number;
  readonly norm: number;
  readonly learningRate: number;
  readonly msPerStep: number;
  /** Other parts of the loss. */
  readonly [name: string]: number;
}

/** Reads a log; none is an empty one. A last line that was cut off is left out. */
export function readLog(path: string): LogLine[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return line === '' ? [] : [JSON.parse(line) as LogLine];
      } catch {
        return [];
      }
    });
}

/** Drops the lines behind `step`: those of steps that are to be done again. */
export async function rewindLog(path: string, step: number): Promise<void> {
  const kept = readLog(path).filter((line) => line.step <= step);
  if (existsSync(path)) await writeFileAtomic(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

/** Appends a line. */
export function appendLog(path: string, line: LogLine): void {
  appendFileSync(path, `${JSON.stringify(line)}\n`);
}

const [WIDTH, HEIGHT, MARGIN] = [720, 300, 45];

/** The curve of the loss over the steps as an SVG picture, the loss on a logarithmic scale. */
export function lossCurve(lines: readonly LogLine[], title: string): string {
  const logs = lines.map(({ loss }) => Math.log10(loss));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const last = lines.at(-1)?.step ?? 1;
  const x = (step: number): number => MARGIN + ((WIDTH - 2 * MARGIN) * step) / last;
  const y = (log: number): number =>
    HEIGHT - MARGIN - ((HEIGHT - 2 * MARGIN) * (log - low)) / Math.max(high - low, 1e-9);
  const points = lines.map(({ step }, i) => `${x(step).toFixed(1)},${y(logs[i]!).toFixed(1)}`).join(' ');
  const text = (at: [number, number], words: string, anchor = 'start'): string =>
    `<text x="${at[0]}" y="${at[1]}" text-anchor="${anchor}" font-family="sans-serif" font-size="12" fill="#444">${words}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}">`,
    `<title>${title}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    text([MARGIN, 20], title),
    text([MARGIN - 4, y(high) + 4], (10 ** high).toPrecision(2), 'end'),
    text([MARGIN - 4, y(low) + 4], (10 ** low).toPrecision(2), 'end'),
    text([WIDTH - MARGIN, HEIGHT - 20], `step ${last}`, 'end'),
    `<polyline points="${points}" fill="none" stroke="#2563eb" stroke-width="1.2"/>`,
    '</svg>\n',
  ].join('\n');
}
