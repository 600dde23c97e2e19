// One training step: its time, memory and hot spots, and those of the same step in PyTorch, taken in turns.
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { forecastLine } from './step/inputs.js';
import { type Opponent, openOpponent } from './step/opponent.js';
import { type OurStep, openOurStep, type TimedStep } from './step/ours.js';
import { type ProfileRow, profileRows, profileTable, shortestCalls } from './step/profile.js';
import { count, MODEL_OPTIONS, MODEL_USAGE, type ModelSettings, modelSettings, oneOf } from './step/settings.js';
import { type Measured, ownPeakBytes, type Ratio, ratioLine, ratioOf, timeLine, timesOf } from './times.js';
import { oneByOne, type Steps, stepsPerTurn, takeTurns } from './turns.js';

export const STEP_USAGE: string = `npm run bench -- step [options]
${MODEL_USAGE}
  --style NAME        PyTorch's attention and adapters: sdpa (fused, stacked) or reference (as the authors' release); default sdpa
  --profile           time by op and by shape
  --rounds N          turns of each, after one to warm up; default 5`;

interface Settings extends ModelSettings {
  readonly style: 'sdpa' | 'reference';
  readonly profile: boolean;
  readonly rounds: number;
}

function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...MODEL_OPTIONS,
      style: { type: 'string', default: 'sdpa' },
      profile: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '5' },
    },
  });
  return {
    style: oneOf('style', values.style, ['sdpa', 'reference']),
    profile: values.profile,
    rounds: count('rounds', values.rounds),
    ...modelSettings(values),
  };
}

/** Steps this long need no second one to warm up, and one profile is enough. */
const LONG_MS = 2000;

/** The first steps of each, which are not measured. */
async function warmUp(all: readonly Steps<TimedStep>[]): Promise<TimedStep[][]> {
  const steps: TimedStep[][] = [];
  for (const run of all) steps.push(await run(1));
  const isLong = steps.every((done) => done[0]!.ms > LONG_MS);
  if (!isLong) for (const [i, run] of all.entries()) steps[i]!.push(...(await run(1)));
  return steps;
}

/** Largest relative difference of two programs' losses; they compute the same steps. */
function lossDifference(ours: readonly TimedStep[], theirs: readonly TimedStep[]): number {
  return Math.max(...ours.map(({ loss }, i) => Math.abs(loss - theirs[i]!.loss) / theirs[i]!.loss));
}

/** More than this and the two do not compute the same step: rounding differs by some 1e-6. */
const SAME_LOSS = 1e-3;

function startOpponent({ model, style, layout, threads }: Settings, ours: OurStep): Promise<Opponent<TimedStep>> {
  const flags = { model, style, layout, threads: String(threads) };
  return openOpponent({ script: 'step.py', flags, data: ours.data() });
}

interface StepReport {
  readonly ours: Measured;
  readonly pytorch?: Measured & { readonly about: string };
  /** PyTorch's time by ours. */
  readonly ratio?: Ratio;
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
    const runs = [oneByOne(ours.step), ...(opponent ? [opponent.steps] : [])];
    const warm = await warmUp(runs);
    const perTurn = stepsPerTurn(Math.max(...warm.map((done) => done.at(-1)!.ms)));
    const steps = await takeTurns(runs, Array<number>(settings.rounds).fill(perTurn));
    const [our, their] = steps.map(timesOf);
    const all = steps.map((done, i) => [...warm[i]!, ...done]);
    return {
      ours: { ...our!, peakBytes: ownPeakBytes() },
      ...(opponent && {
        pytorch: { ...their!, about: `${opponent.about}, ${settings.style}`, peakBytes: opponent.peakBytes() },
        ratio: ratioOf(their!, our!),
        lossDifference: lossDifference(all[0]!, all[1]!),
      }),
      ...(settings.profile && { profile: await profileOf(ours) }),
    };
  } finally {
    opponent?.close();
  }
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
    lines.push(ratioLine(ratio));
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
