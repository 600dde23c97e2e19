import type { Command } from 'commander';
import { ConfigError } from '../errors.js';

/**
 * Makes the action refuse to run without these flags. Commander's own required options are looked for before misspelt ones, so
 * that `--modl x` would be answered by "--model is missing" instead of the right name.
 */
export function requireFlags(command: Command, names: readonly string[]): Command {
  return command.hook('preAction', (_program, action) => {
    const missing = names.find((name) => action.getOptionValue(name) === undefined);
    if (missing === undefined) return;
    throw new ConfigError(`--${missing}: expected a value, got none`, { hint: 'Run it with --help for all options.' });
  });
}
