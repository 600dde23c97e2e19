import type { Command } from 'commander';
import { activeRank, drawRankSchedule, type RankSchedule, validateRankSchedule } from '../adapters/rankSchedule.js';
import { ConfigError } from '../errors.js';
import type { CliContext } from './context.js';
import { parseNumber } from './numbers.js';

interface ScheduleFlags {
  rank: number;
  minRank?: number;
  alpha: number;
  timesteps: number;
  json?: boolean;
}

/** @throws ConfigError that names the flag */
function checkFlags(schedule: RankSchedule): void {
  try {
    validateRankSchedule(schedule);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.message.replace('[rank schedule] ', '').replace(/^T:/, '--timesteps:'));
  }
}

/** `tlora schedule`: prints and draws r(t). */
export function addScheduleCommand(program: Command, context: CliContext): void {
  program
    .command('schedule')
    .description('print and draw the rank schedule r(t)')
    .option('--rank <n>', 'rank at t = 0', parseNumber, 64)
    .option('--min-rank <n>', 'rank at the highest noise (default: half the rank)', parseNumber)
    .option('--alpha <x>', 'exponent', parseNumber, 1)
    .option('--timesteps <n>', 'training timesteps of the model', parseNumber, 1000)
    .option('--json', 'print the schedule and r(t) for every t as JSON')
    .action((flags: ScheduleFlags) => {
      const { rank: maxRank, minRank = Math.floor(maxRank / 2), alpha, timesteps: T } = flags;
      const schedule: RankSchedule = { T, maxRank, minRank, alpha };
      checkFlags(schedule);
      const ranks = (): number[] => Array.from({ length: T }, (_, t) => activeRank(schedule, t));
      const text = flags.json ? `${JSON.stringify({ ...schedule, ranks: ranks() })}\n` : drawRankSchedule(schedule);
      context.out.write(text);
    });
}
