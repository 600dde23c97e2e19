import type { Command } from 'commander';

/** Adds `--model` and `--config`. */
export function addModelOptions(command: Command): Command {
  return command
    .option('--model <path>', 'model folder in diffusers layout, or a single .safetensors file in the original layout')
    .option('--config <dir>', 'with a single file: folder with its tokenizers, and configs (such as a model folder)');
}
