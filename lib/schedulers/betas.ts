import { fieldError, readNumber, readOneOf, type SchedulerConfig } from './configFields.js';

export type BetaSchedule = 'linear' | 'scaled_linear' | 'squaredcos_cap_v2';

const f32 = Math.fround;

/** float32 linspace as PyTorch evaluates it: from the start in the first half, from the end in the second. */
function linspaceF32(start: number, end: number, n: number): Float64Array {
  const from = f32(start);
  const to = f32(end);
  const step = n > 1 ? f32(f32(to - from) / (n - 1)) : 0;
  return Float64Array.from({ length: n }, (_, i) => f32(i < n / 2 ? from + step * i : to - step * (n - 1 - i)));
}

/** Cosine schedule of Nichol & Dhariwal (arXiv 2102.09672), betas capped at 0.999. */
function cosineBetas(n: number): Float64Array {
  const alphaBar = (t: number): number => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float64Array.from({ length: n }, (_, i) => f32(Math.min(1 - alphaBar((i + 1) / n) / alphaBar(i / n), 0.999)));
}

function trainedBetas(value: unknown, n: number): Float64Array {
  const valid = (beta: unknown): beta is number => typeof beta === 'number' && beta >= 0 && beta < 1;
  if (!Array.isArray(value) || value.length !== n || !value.every(valid)) {
    throw fieldError('trained_betas', `null or ${n} numbers (num_train_timesteps) from 0 to 1`, value);
  }
  return Float64Array.from(value, f32);
}

function readBetas(config: SchedulerConfig, kind: BetaSchedule, n: number): Float64Array {
  const trained = config.trained_betas ?? null;
  if (trained !== null) return trainedBetas(trained, n);
  if (kind === 'squaredcos_cap_v2') return cosineBetas(n);
  const start = readNumber(config, 'beta_start', 0.0001, 0, 1);
  const end = readNumber(config, 'beta_end', 0.02, 0, 1);
  if (start > end || end === 1 || end === 0)
    throw fieldError('beta_end', 'beta_start ≤ beta_end, 0 < beta_end < 1', end);
  if (kind === 'linear') return linspaceF32(start, end, n);
  return linspaceF32(Math.sqrt(start), Math.sqrt(end), n).map((root) => f32(root * root));
}

/** Running product of 1 − β, kept in float64, each entry rounded to float32. */
function runningProduct(betas: Float64Array): Float64Array {
  let product = 1;
  return betas.map((beta) => {
    product *= f32(1 - beta);
    return f32(product);
  });
}

/**
 * Betas for which sqrt(alphasCumprod) is shifted and scaled so that the first stays and the last is 0 (arXiv 2305.08891, algorithm 1). Each
 * operation is rounded to float32: small betas lose digits in 1 − α, and models were trained with what is left of them. The square roots are
 * correctly rounded, as a GPU has them; some builds of PyTorch for the CPU have one bit more or less in a fifth of them, which the lost digits
 * make up to 6e-4 of a noise level.
 */
function zeroTerminalSnrBetas(betas: Float64Array): Float64Array {
  const roots = runningProduct(betas).map((product) => f32(Math.sqrt(product)));
  const [first, last] = [roots[0]!, roots.at(-1)!];
  const stretch = f32(first / f32(first - last));
  const products = roots.map((root) => {
    const shifted = f32(f32(root - last) * stretch);
    return f32(shifted * shifted);
  });
  return products.map((product, t) => f32(1 - (t === 0 ? product : f32(product / products[t - 1]!))));
}

/**
 * The table alphasCumprod[t] = Π_{s ≤ t} (1 − β_s), T numbers. The betas, 1 − β and the stored products are rounded to
 * float32 and the running product is kept in float64: bit for bit the table the released models were trained with.
 */
export function alphasCumprodTable(
  config: SchedulerConfig,
  n: number,
  zeroTerminalSnr: boolean,
): { betaSchedule: BetaSchedule; alphasCumprod: Float64Array } {
  const kinds = ['linear', 'scaled_linear', 'squaredcos_cap_v2'] as const;
  const betaSchedule: BetaSchedule = readOneOf(config, 'beta_schedule', 'linear', kinds);
  const betas = readBetas(config, betaSchedule, n);
  return { betaSchedule, alphasCumprod: runningProduct(zeroTerminalSnr ? zeroTerminalSnrBetas(betas) : betas) };
}
