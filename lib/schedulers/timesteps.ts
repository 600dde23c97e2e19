import { ConfigError } from '../errors.js';
import type { NoiseSchedule, TimestepSpacing } from './noiseSchedule.js';

/** Round half to even, as NumPy does. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** T, T − T/n, …: evaluated like a NumPy range, whose step is the rounded difference of its first two values. */
function trailing(n: number, T: number): Float64Array {
  const step = T - T / n - T;
  return Float64Array.from({ length: n }, (_, i) => roundHalfEven(T + i * step) - 1);
}

function linspace(n: number, T: number): Float64Array {
  const step = n > 1 ? (T - 1) / (n - 1) : 0;
  return Float64Array.from({ length: n }, (_, i) => (i === 0 && n > 1 ? T - 1 : (n - 1 - i) * step));
}

/**
 * `points` falling timesteps (table 2 of arXiv 2305.08891). leading: multiples of ⌊T/points⌋ plus steps_offset, from
 * the largest down to steps_offset; trailing: from T − 1 in steps of T/points; linspace: T − 1 … 0, fractional.
 * @throws ConfigError if they are not distinct values in [0, T − 1]: too many steps
 */
export function spacedTimesteps(schedule: NoiseSchedule, spacing: TimestepSpacing, points: number): Float64Array {
  const T = schedule.trainTimesteps;
  const ratio = Math.floor(T / points);
  const leading = (_: unknown, i: number): number => (points - 1 - i) * ratio + schedule.stepsOffset;
  const values = {
    leading: () => Float64Array.from({ length: points }, leading),
    trailing: () => trailing(points, T),
    linspace: () => linspace(points, T),
  }[spacing]();
  const distinct = values.every((t, i) => i === 0 || t < values[i - 1]!);
  if (!distinct || values[0]! > T - 1 || values.at(-1)! < 0) {
    throw new ConfigError(
      `steps: ${points} timesteps with ${spacing} spacing do not fit into ${T} training timesteps`,
      {
        hint: 'Use fewer steps.',
      },
    );
  }
  return values;
}

/** Value of a table at a fractional index, linear between entries. */
export function interpolate(table: Float64Array, at: number): number {
  const low = Math.min(Math.floor(at), table.length - 1);
  const high = Math.min(low + 1, table.length - 1);
  return table[low]! + (at - low) * (table[high]! - table[low]!);
}
