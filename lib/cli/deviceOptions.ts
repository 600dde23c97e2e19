import { type Command, Option } from 'commander';

/** `--device` and `--precision`, which mean the same in every command. */
export function addDeviceOptions(command: Command): Command {
  return command
    .option('--device <name>', 'what computes: auto, cpu, cuda or cuda:N (default: auto, CUDA where there is a device)')
    .addOption(
      new Option('--precision <type>', 'how numbers are kept (default: bf16 on CUDA, fp32 on the CPU)').choices([
        'bf16',
        'fp16',
        'tf32',
        'fp32',
      ]),
    );
}
