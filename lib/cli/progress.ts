import type { GenerateEvent } from '../generate/options.js';
import { formatBytes } from '../plan/byteSize.js';
import type { TrainEvent, WatchEvent } from '../train/events.js';
import type { CliContext, OutputOptions, Screen } from './context.js';
import { formatDuration, formatRate } from './formats.js';

/** Without a terminal, at most one line in this many milliseconds tells how far a run is. */
const PLAIN_INTERVAL_MS = 10_000;

/** Tells on stderr how a run goes: one line that is redrawn on a terminal, plain lines elsewhere. */
export interface Progress {
  event(event: TrainEvent | GenerateEvent): void;
  /** A line that stays, shown unless `--quiet`. */
  note(text: string): void;
  /** Leaves the last step behind on a terminal, whatever came after it. */
  end(): void;
}

const PHASES: Readonly<Record<string, string>> = {
  load: 'loading the model',
  encode: 'encoding pictures and prompts',
  start: 'making the start of the adapters',
  train: 'training',
  sample: 'sampling',
  watch: 'watching',
  decode: 'decoding',
  save: 'saving',
};

type StepLike = Extract<TrainEvent | GenerateEvent, { type: 'step' }>;

function stepText(event: StepLike): string {
  const speed = `${formatRate(event.stepMs)}  ETA ${formatDuration(event.etaMs)}`;
  const step = `step ${event.step}/${event.steps}`;
  if ('picture' in event) return `picture ${event.picture + 1}/${event.pictures}  ${step}  ${speed}`;
  const { used, peak } = event.memory;
  const memory = `${formatBytes(used)} (peak ${formatBytes(peak)})`;
  return `${step}  loss ${event.loss.toFixed(4)}  ${speed}  ${memory}`;
}

function watchNote({ step, shares, copy, copyingFrom, bestPath }: WatchEvent): string {
  const losses = shares.map((share) => share.toFixed(2)).join(' ');
  const copying = copyingFrom === step ? ': copying starts' : '';
  return `step ${step}: losses ${losses} of those without adapters, copied ${(100 * copy).toFixed(0)} %${copying}${bestPath === null ? '' : ', best so far'}`;
}

/** What stays on the screen after an event; undefined for those that only move the progress line. */
function noteText(event: TrainEvent | GenerateEvent): string | undefined {
  switch (event.type) {
    case 'device':
      return `device: ${event.device.name} (${event.reason})${event.device.kind === 'cpu' ? '' : `, ${event.precision}`}`;
    case 'forecast':
      return event.seconds === undefined
        ? `memory: ${formatBytes(event.memory)} will be needed`
        : `time: about ${formatDuration(event.seconds * 1000)} for the whole run`;
    case 'sample':
      return `step ${event.step}: sample ${event.path}`;
    case 'checkpoint':
      return `step ${event.step}: checkpoint ${event.path}`;
    case 'watch':
      return watchNote(event);
    default:
      return undefined;
  }
}

/** Whether a stream is a terminal that wants colours: NO_COLOR (no-color.org) and TERM=dumb say no. */
export function wantsColour(screen: Screen, env: CliContext['env']): boolean {
  return screen.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

/** The redrawn line of a terminal. */
function liveLine(screen: Screen): { draw(text: string): void; clear(): void; keep(): void } {
  let shown = '';
  return {
    draw: (text) => {
      shown = text.slice(0, Math.max(20, (screen.columns ?? 80) - 1));
      screen.write(`\r${shown}\x1b[K`);
    },
    clear: () => {
      if (shown !== '') screen.write('\r\x1b[K');
    },
    keep: () => {
      if (shown !== '') screen.write('\n');
      shown = '';
    },
  };
}

/** A reporter that throttles plain lines by `now` and leaves out what `options` do not want. */
export function createProgress(
  { err, env, now }: Pick<CliContext, 'err' | 'env' | 'now'>,
  options: OutputOptions,
): Progress {
  const redraws = err.isTTY === true && env.TERM !== 'dumb' && options.progress !== false && !options.quiet;
  const live = redraws ? liveLine(err) : undefined;
  const warning = wantsColour(err, env) ? '\x1b[33mwarning:\x1b[39m' : 'warning:';
  let lastLine = Number.NEGATIVE_INFINITY;
  let current = '';
  let lastStep = '';
  const line = (text: string): void => {
    live?.clear();
    err.write(`${text}\n`);
    if (current !== '') live?.draw(current);
  };
  const moved = (text: string, important: boolean): void => {
    if (options.quiet || options.progress === false) return;
    if (live) {
      current = text;
      live.draw(text);
    } else if (important || now() - lastLine >= PLAIN_INTERVAL_MS) {
      lastLine = now();
      line(text);
    }
  };
  return {
    event: (event) => {
      if (event.type === 'warning') line(`${warning} ${event.message}`);
      else if (event.type === 'step') {
        lastStep = stepText(event);
        moved(lastStep, event.step === 1 || event.step === event.steps);
      } else if (event.type === 'phase') {
        const part = 'total' in event ? ` ${event.done ?? 0}/${event.total}` : '';
        moved(`${PHASES[event.phase]}${part}`, part === '');
      } else {
        const text = noteText(event);
        if (text !== undefined && !options.quiet) line(text);
      }
    },
    note: (text) => {
      if (!options.quiet) line(text);
    },
    end: () => {
      if (current !== '' && lastStep !== '' && current !== lastStep) live?.draw(lastStep);
      live?.keep();
      current = '';
    },
  };
}
