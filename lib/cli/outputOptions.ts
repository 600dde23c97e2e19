import type { Command } from 'commander';

/** The flags of long commands that say how much they tell. */
export function addOutputOptions(command: Command): Command {
  return command
    .option('--json', 'print the result as JSON')
    .option('--quiet', 'only warnings and errors on stderr')
    .option('--no-progress', 'no progress line');
}
