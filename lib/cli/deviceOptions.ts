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

/** `--deterministic` and `--no-algorithm-cache`, of the commands that compute. */
export function addAlgorithmOptions(command: Command): Command {
  return command
    .option('--deterministic', 'on CUDA: algorithms from a fixed table, not those that are fastest on this machine')
    .option('--no-algorithm-cache', 'neither keep nor take the algorithms that were found fastest');
}
