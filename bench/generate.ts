// A guided generation with masked adapters: the time and memory of its steps, and those of the same in PyTorch, taken in turns.
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { type GenerationSettings, type OurGeneration, openOurGeneration } from './generate/ours.js';
import { forecastLine } from './step/inputs.js';
import { type Opponent, openOpponent } from './step/opponent.js';
import { count, MODEL_OPTIONS, MODEL_USAGE, modelSettings } from './step/settings.js';
import {
  type Measured,
  ownPeakBytes,
  type Ratio,
  ratioLine,
  ratioOf,
  relativeDifference,
  showMs,
  type Timed,
  timeLine,
  timesOf,
} from './times.js';
import { oneByOne, stepsPerTurn, takeTurns, turnCounts } from './turns.js';

export const GENERATE_USAGE: string = `npm run bench -- generate [options]
${MODEL_USAGE}
  --steps N           of the Euler sampler; default 25
  --guidance SCALE    default 5; 1: none, and one prompt instead of two
  --turn N            steps of a turn; default: as many as take 0.3 s`;

interface Settings extends GenerationSettings {
  readonly turn: number | undefined;
}

function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...MODEL_OPTIONS,
      steps: { type: 'string', default: '25' },
      guidance: { type: 'string', default: '5' },
      turn: { type: 'string' },
    },
  });
  const guidance = Number(values.guidance);
  if (!Number.isFinite(guidance)) throw new Error(`--guidance: expected a number, got ${values.guidance}`);
  return {
    steps: count('steps', values.steps),
    guidance,
    turn: values.turn === undefined ? undefined : count('turn', values.turn),
    ...modelSettings(values),
  };
}

/** Times of the steps, and of all of them together. */
interface Total extends Measured {
  readonly totalMs: number;
}

interface GenerateReport {
  readonly ours: Total;
  readonly pytorch?: Total & { readonly about: string };
  /** PyTorch's time by ours. */
  readonly ratio?: Ratio & { readonly total: number };
  readonly latentsDifference?: number;
}

/** More than this and the two do not compute the same picture. */
const SAME_LATENTS = 1e-4;

function totalOf(steps: readonly Timed[], peakBytes: number | null): Total {
  return { ...timesOf(steps), totalMs: steps.reduce((sum, { ms }) => sum + ms, 0), peakBytes };
}

async function measure(settings: Settings, ours: OurGeneration): Promise<GenerateReport> {
  const { model, layout, threads } = settings;
  const flags = { model, layout, threads: String(threads) };
  const opponent = settings.against ? await openOpponent({ script: 'generate.py', flags, data: ours.data() }) : null;
  try {
    const warm = [await ours.warm(), ...(opponent ? [(await opponent.ask('warm')) as Timed] : [])];
    const perTurn = settings.turn ?? stepsPerTurn(Math.max(...warm.map(({ ms }) => ms)));
    const runs = [oneByOne(ours.step), ...(opponent ? [opponent.steps] : [])];
    const [our, their] = await takeTurns(runs, turnCounts(settings.steps, perTurn));
    const own = totalOf(our!, ownPeakBytes());
    return { ours: own, ...(opponent && (await compared(ours, own, opponent, their!))) };
  } finally {
    opponent?.close();
  }
}

async function compared(
  ours: OurGeneration,
  own: Total,
  opponent: Opponent<Timed>,
  steps: readonly Timed[],
): Promise<Omit<Required<GenerateReport>, 'ours'>> {
  const pytorch = { ...totalOf(steps, opponent.peakBytes()), about: opponent.about };
  const { latents } = (await opponent.ask('latents')) as { latents: number[] };
  return {
    pytorch,
    ratio: { ...ratioOf(pytorch, own), total: pytorch.totalMs / own.totalMs },
    latentsDifference: relativeDifference(ours.latents(), latents),
  };
}

function show(settings: Settings, ours: OurGeneration, { ours: own, pytorch, ratio, ...rest }: GenerateReport): string {
  const { model, steps, guidance, rank, threads } = settings;
  const ranks = `rank ${rank} (${ours.ranks[0]} to ${ours.ranks.at(-1)} active)`;
  const lines = [
    `${model}, ${ours.resolution}², ${steps} steps, guidance ${guidance}, ${ranks}, ${threads} threads, ${cpus()[0]?.model.trim()}`,
    `a step: ${forecastLine(ours)}`,
    timeLine('tlora', own, ours.flops),
  ];
  if (pytorch && ratio && rest.latentsDifference !== undefined) {
    lines.push(timeLine('PyTorch', pytorch, ours.flops), `         ${pytorch.about}`, ratioLine(ratio));
    lines.push(
      `all steps: tlora ${showMs(own.totalMs)}, PyTorch ${showMs(pytorch.totalMs)}, ${ratio.total.toFixed(2)}×`,
    );
    lines.push(`final latents agree to ${rest.latentsDifference.toExponential(1)}`);
  } else {
    lines.push(`all steps: ${showMs(own.totalMs)}`);
  }
  return lines.join('\n');
}

/** The `generate` command. @param args what follows its name */
export async function benchGenerate(args: readonly string[]): Promise<void> {
  const settings = readSettings(args);
  const ours = await openOurGeneration(settings);
  try {
    const report = await measure(settings, ours);
    const { resolution, ranks, flops, calls, forecast } = ours;
    const all = { settings, resolution, ranks, flops, calls, forecast, ...report };
    console.log(settings.json ? JSON.stringify(all) : show(settings, ours, report));
    const difference = report.latentsDifference ?? 0;
    if (!(difference <= SAME_LATENTS)) {
      throw new Error(`the final latents differ by ${difference}: the two programs do not compute the same picture`);
    }
  } finally {
    ours.dispose();
  }
}
