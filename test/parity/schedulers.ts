import { createSampler } from '../../lib/schedulers/createSampler.js';
import { addNoiseCoefficients, type MixCoefficients, velocityCoefficients } from '../../lib/schedulers/ddpm.js';
import { type NoiseSchedule, noiseSchedule, type TimestepSpacing } from '../../lib/schedulers/noiseSchedule.js';
import type { SamplerKind } from '../../lib/schedulers/sampler.js';
import { BOUNDS } from './bounds.js';
import type { Checks, Compared } from './checks.js';
import type { Pipeline } from './pipeline.js';
import { type Reference, row } from './reference.js';

const NUMBER = '([0-9.]+(?:e-?[0-9]+)?)';
const MODEL = new RegExp(`^sin\\(${NUMBER} ?x\\) \\+ ${NUMBER} cos\\(x \\+ t/${NUMBER}\\)`);
const SAMPLER = /^(euler|ddim|dpmpp_2m)(_karras)?(?:_(trailing|leading|linspace))?$/;
const KINDS: Readonly<Record<string, SamplerKind>> = { euler: 'euler', ddim: 'ddim', dpmpp_2m: 'dpmpp2m' };

type ToyModel = (x: Float32Array, t: number) => Float32Array;

/** The made-up model that the file's metadata describes, such as `sin(1.7 x) + 0.1 cos(x + t/1000)`. */
function toyModel(description: string): ToyModel {
  const match = MODEL.exec(description);
  if (!match) throw new Error(`model: expected sin(a x) + b cos(x + t/c), got ${description}`);
  const [a, b, c] = match.slice(1).map(Number) as [number, number, number];
  return (x, t) => x.map((v) => Math.sin(a * v) + b * Math.cos(v + t / c));
}

function checkForward(schedule: NoiseSchedule, reference: Reference, checks: Checks): void {
  const alphas = {
    name: 'alphas_cumprod',
    ours: schedule.alphasCumprod,
    theirs: reference.floats('ddpm.alphas_cumprod'),
  };
  checks.each('ddpm.alphas_cumprod', [alphas], BOUNDS.scheduler);
  const t = reference.ints('ddpm.t');
  const mixed = ({ signal, noise }: MixCoefficients): Float32Array => {
    const eps = reference.floats('eps');
    const size = eps.length / t.length;
    return reference
      .floats('x0')
      .map((x0, k) => signal[Math.floor(k / size)]! * x0 + noise[Math.floor(k / size)]! * eps[k]!);
  };
  const compare = (name: string, coefficients: MixCoefficients): void =>
    checks.each(name, [{ name, ours: mixed(coefficients), theirs: reference.floats(name) }], BOUNDS.scheduler);
  compare('ddpm.noisy', addNoiseCoefficients(schedule, t));
  compare('ddpm.velocity', velocityCoefficients(schedule, t));
}

/** Timesteps, noise levels and every state of one sampler. */
function checkSampler(name: string, schedule: NoiseSchedule, reference: Reference, checks: Checks): void {
  const [, kind, karras, spacing] = SAMPLER.exec(name) ?? [];
  if (kind === undefined) {
    checks.holds(name, false, 'no such sampler');
    return;
  }
  const sampler = createSampler(KINDS[kind]!, schedule, {
    steps: reference.number('steps'),
    karras: karras !== undefined,
    spacing: (spacing ?? 'leading') as TimestepSpacing,
  });
  const compared: Compared[] = [];
  const compare = (what: string, ours: ArrayLike<number>, theirs: ArrayLike<number>): void =>
    void compared.push({ name: what, ours, theirs });
  compare('timesteps', sampler.timesteps, reference.floats(`${name}.timesteps`));
  if (reference.has(`${name}.sigmas`)) compare('sigmas', sampler.sigmas, reference.floats(`${name}.sigmas`));
  const model = toyModel(reference.text('model'));
  const [states, shape] = [reference.floats(`${name}.x`), reference.shape(`${name}.x`)];
  let x = reference.floats('x0').map((v) => v * sampler.initNoiseSigma);
  for (let i = 0; i < shape[0]!; i++) {
    x = Float32Array.from(sampler.step(model(sampler.scaleModelInput(x, i), sampler.timesteps[i]!), i, x));
    compare(`x after step ${i + 1}`, x, row(states, shape, i));
  }
  checks.each(`${name}: timesteps, sigmas, states`, compared, BOUNDS.scheduler);
}

/** The forward process and every sampler of the file. */
export async function checkSchedulers({ model }: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  const schedule = noiseSchedule(model.scheduler);
  checkForward(schedule, reference, checks);
  const samplers = reference.keys.flatMap((key) => (key.endsWith('.x') ? [key.slice(0, -2)] : []));
  for (const name of samplers) checkSampler(name, schedule, reference, checks);
}
