// One training step: its time, memory and hot spots, and those of the same step in PyTorch, taken in turns.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { writeSafetensors } from '../lib/io/safetensors.js';
import { formatBytes } from '../lib/plan/byteSize.js';
import { BENCH_FOLDER, randomModel, STEP_SHAPES, type StepShape } from './step/model.js';
import { type Opponent, type OpponentStyle, openOpponent } from './step/opponent.js';
import { forecastLine, type OurStep, openOurStep, type StepSettings, type TimedStep } from './step/ours.js';
import { type ProfileRow, profileRows, profileTable, shortestCalls } from './step/profile.js';

export const STEP_USAGE: string = `npm run bench -- step [options]
  --against pytorch   also time PyTorch's step (TLORA_BENCH_PYTHON: a Python with torch and safetensors)
  --style NAME        its attention and adapters: sdpa (fused, stacked) or reference (as the authors' release); default sdpa
  --layout NAME       its pictures: nchw or nhwc; default nchw
  --profile           time by op and by shape
  --shape NAME        ${Object.keys(STEP_SHAPES).join(', ')}: a model with random weights; default sd15
  --model DIR         a model folder instead
  --resolution N      side of the picture; default: the shape's usual one
  --rank N            default: the shape's usual one
  --rounds N          turns of each, after one to warm up; default 5
  --threads N         default: all cores
  --json              one JSON object instead of tables`;

interface Settings extends StepSettings {
  readonly against: boolean;
  readonly style: OpponentStyle;
  readonly layout: 'nchw' | 'nhwc';
  readonly profile: boolean;
  readonly rounds: number;
  readonly json: boolean;
}

function oneOf<const T extends string>(name: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined)
    throw new Error(`--${name}: expected ${choices.join(' or ')}, got ${value}\n\n${STEP_USAGE}`);
  return found;
}

function count(name: string, value: string): number {
  if (!/^[1-9]\d{0,5}$/.test(value)) throw new Error(`--${name}: expected a whole number from 1 up, got ${value}`);
  return Number(value);
}

function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      against: { type: 'string' },
      style: { type: 'string', default: 'sdpa' },
      layout: { type: 'string', default: 'nchw' },
      profile: { type: 'boolean', default: false },
      shape: { type: 'string', default: 'sd15' },
      model: { type: 'string' },
      resolution: { type: 'string' },
      rank: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      threads: { type: 'string', default: String(availableParallelism()) },
      json: { type: 'boolean', default: false },
    },
  });
  const shape = STEP_SHAPES[oneOf('shape', values.shape, Object.keys(STEP_SHAPES) as StepShape[])];
  const usual = values.model === undefined ? shape.resolution : undefined;
  return {
    against: values.against !== undefined && oneOf('against', values.against, ['pytorch']) === 'pytorch',
    style: oneOf('style', values.style, ['sdpa', 'reference']),
    layout: oneOf('layout', values.layout, ['nchw', 'nhwc']),
    profile: values.profile,
    model: values.model ?? randomModel(shape.shape),
    resolution: values.resolution === undefined ? usual : count('resolution', values.resolution),
    rank: values.rank === undefined ? shape.rank : count('rank', values.rank),
    rounds: count('rounds', values.rounds),
    threads: count('threads', values.threads),
    json: values.json,
  };
}

/** Runs steps and gives them in order. */
type Steps = (count: number) => Promise<TimedStep[]>;

/** A turn takes about this long, so that steps of milliseconds are not measured one by one. */
const TURN_MS = 300;
/** Before a turn: long enough for the other's threads to stop looking for work. */
const PAUSE_MS = 50;

async function oursInTurn(ours: OurStep, steps: number): Promise<TimedStep[]> {
  const done: TimedStep[] = [];
  for (let i = 0; i < steps; i++) done.push(await ours.step());
  return done;
}

/** Steps this long need no second one to warm up, and one profile is enough. */
const LONG_MS = 2000;

/** All steps of each, in their order: some to warm up, then `rounds` turns, who begins changing with the round. */
async function takeTurns(all: readonly Steps[], rounds: number): Promise<{ warm: number; steps: TimedStep[][] }> {
  const steps: TimedStep[][] = [];
  for (const run of all) steps.push(await run(1));
  const isLong = steps.every((done) => done[0]!.ms > LONG_MS);
  if (!isLong) for (const [i, run] of all.entries()) steps[i]!.push(...(await run(1)));
  const warm = steps[0]!.length;
  const slowest = Math.max(...steps.map((done) => done.at(-1)!.ms));
  const perTurn = Math.min(100, Math.max(1, Math.round(TURN_MS / slowest)));
  for (let round = 0; round < rounds; round++) {
    const order = all.map((_, i) => (round % 2 === 0 ? i : all.length - 1 - i));
    for (const i of order) {
      await sleep(PAUSE_MS);
      steps[i]!.push(...(await all[i]!(perTurn)));
    }
    const last = steps.map((done) => ms(done.at(-1)!.ms)).join(', PyTorch ');
    console.error(`round ${round + 1} of ${rounds}: tlora ${last}`);
  }
  return { warm, steps };
}

interface Times {
  readonly bestMs: number;
  readonly medianMs: number;
  /** Median processor time. */
  readonly cpuMs: number;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function timesOf(steps: readonly TimedStep[]): Times {
  const walls = steps.map((step) => step.ms);
  return { bestMs: Math.min(...walls), medianMs: median(walls), cpuMs: median(steps.map(({ cpuMs }) => cpuMs)) };
}

/** Largest relative difference of two programs' losses; they compute the same steps. */
function lossDifference(ours: readonly TimedStep[], theirs: readonly TimedStep[]): number {
  return Math.max(...ours.map(({ loss }, i) => Math.abs(loss - theirs[i]!.loss) / theirs[i]!.loss));
}

/** More than this and the two do not compute the same step: rounding differs by some 1e-6. */
const SAME_LOSS = 1e-3;

/** The most memory that this process had at once; null where the system does not tell. */
function ownPeakBytes(): number | null {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return match ? Number(match[1]) * 1024 : null;
  } catch {
    return null;
  }
}

async function startOpponent(settings: Settings, ours: OurStep): Promise<Opponent> {
  mkdirSync(BENCH_FOLDER, { recursive: true });
  const data = join(BENCH_FOLDER, `step-${process.pid}.safetensors`);
  try {
    await writeSafetensors(data, ours.data());
    return await openOpponent({ ...settings, data });
  } finally {
    rmSync(data, { force: true });
  }
}

interface StepReport {
  readonly ours: Times & { readonly peakBytes: number | null };
  readonly pytorch?: Times & { readonly about: string; readonly peakBytes: number | null };
  /** PyTorch's time by ours. */
  readonly ratio?: { readonly best: number; readonly median: number; readonly cpu: number };
  readonly lossDifference?: number;
  readonly profile?: {
    readonly byOp: readonly ProfileRow[];
    readonly byShape: readonly ProfileRow[];
    readonly productGflops: number;
  };
}

async function profileOf(ours: OurStep): Promise<NonNullable<StepReport['profile']>> {
  const profiles = [await ours.profile()];
  const length = profiles[0]!.reduce((sum, call) => sum + call.ms, 0);
  for (let i = 1; i < (length > LONG_MS ? 1 : 5); i++) profiles.push(await ours.profile());
  const calls = shortestCalls(profiles);
  return {
    byOp: profileRows(calls, ({ op }) => op),
    byShape: profileRows(calls, ({ op, sizes }) => `${op} ${sizes}`),
    productGflops: await ours.product(),
  };
}

async function measure(settings: Settings, ours: OurStep): Promise<StepReport> {
  // Before the opponent: what it needs is then not in this process's peak.
  const opponent = settings.against ? await startOpponent(settings, ours) : null;
  try {
    const runs: Steps[] = [(steps) => oursInTurn(ours, steps), ...(opponent ? [opponent.steps] : [])];
    const { warm, steps } = await takeTurns(runs, settings.rounds);
    const [our, their] = steps.map((done) => timesOf(done.slice(warm)));
    const peakBytes = ownPeakBytes();
    return {
      ours: { ...our!, peakBytes },
      ...(opponent && {
        pytorch: { ...their!, about: `${opponent.about}, ${settings.style}`, peakBytes: opponent.peakBytes() },
        ratio: {
          best: their!.bestMs / our!.bestMs,
          median: their!.medianMs / our!.medianMs,
          cpu: their!.cpuMs / our!.cpuMs,
        },
        lossDifference: lossDifference(steps[0]!, steps[1]!),
      }),
      ...(settings.profile && { profile: await profileOf(ours) }),
    };
  } finally {
    opponent?.close();
  }
}

const ms = (time: number): string => (time < 100 ? `${time.toFixed(2)} ms` : `${(time / 1000).toFixed(2)} s`);

function timeLine(name: string, { bestMs, medianMs, cpuMs, peakBytes }: StepReport['ours'], flops: number): string {
  const speed = `${(flops / medianMs / 1e6).toFixed(0)} GFLOP/s`;
  const peak = peakBytes === null ? '' : `peak memory ${formatBytes(peakBytes)}`;
  const times = [`best ${ms(bestMs)}`, `median ${ms(medianMs)}`, `processor ${ms(cpuMs)}`];
  return [name.padEnd(8), ...times.map((time) => time.padEnd(20)), speed.padEnd(14), peak].join(' ').trimEnd();
}

function show(settings: Settings, ours: OurStep, report: StepReport): string {
  const { pytorch, ratio, profile } = report;
  const lines = [
    `${settings.model}, ${ours.resolution}², rank ${settings.rank} (${ours.activeRank} active), ${settings.threads} threads, ${cpus()[0]?.model.trim()}`,
    forecastLine(ours),
    timeLine('tlora', report.ours, ours.flops),
  ];
  if (pytorch && ratio) {
    lines.push(timeLine('PyTorch', pytorch, ours.flops), `         ${pytorch.about}`);
    lines.push(
      `PyTorch / tlora: best ${ratio.best.toFixed(2)}×, median ${ratio.median.toFixed(2)}×, processor ${ratio.cpu.toFixed(2)}×`,
    );
    lines.push(`losses of all steps agree to ${report.lossDifference!.toExponential(1)}`);
  }
  if (profile) {
    lines.push('', profileTable('op', profile.byOp), '', profileTable('op and sizes', profile.byShape.slice(0, 40)));
    lines.push('', `our matrix product, 2048 × 1280 → 1280: ${profile.productGflops.toFixed(0)} GFLOP/s`);
  }
  return lines.join('\n');
}

/** The `step` command. @param args what follows its name */
export async function benchStep(args: readonly string[]): Promise<void> {
  const settings = readSettings(args);
  const ours = await openOurStep(settings);
  try {
    const report = await measure(settings, ours);
    const { resolution, activeRank, flops, calls, forecast } = ours;
    console.log(
      settings.json
        ? JSON.stringify({ settings, resolution, activeRank, flops, calls, forecast, ...report })
        : show(settings, ours, report),
    );
    if ((report.lossDifference ?? 0) > SAME_LOSS) {
      throw new Error(`the losses differ by ${report.lossDifference}: the two programs do not compute the same step`);
    }
  } finally {
    ours.dispose();
  }
}
