// Runs the tests of native/cuda without a device: builds tlora_cuda_emulated.so and the emulator's own planted kernels, then
//   1. test/cuda and every op's tests, with each access of a kernel checked for races and bounds;
//   2. a training step of the reference in test/fixtures, with its gradients, unchecked;
//   3. with --parity: all the reference's numbers and whole runs, unchecked. Long.
// --build: only builds. Other arguments name test files: 1. alone, with these.
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, 'build', 'emulated');
const release = path.join(folder, 'Release');
const library = path.join(release, 'tlora_cuda_emulated.so');

function run(command, args, env = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (status !== 0) process.exit(status ?? 1);
}

const jobs = String(availableParallelism());
run('cmake', ['-S', root, '-B', folder, '-DTLORA_CUDA=OFF', '--log-level=WARNING']);
run('cmake', ['--build', folder, '--target', 'tlora_cuda_emulated', 'tlora-planted', '-j', jobs]);

const flags = process.argv.slice(2);
const device = {
  TLORA_TEST_DEVICE: 'cuda',
  TLORA_CUDA_LIBRARY: library,
  TLORA_PLANTED: path.join(release, 'tlora-planted'),
};

const vitest = [
  path.join(root, 'node_modules', 'vitest', 'vitest.mjs'),
  'run',
  '--project',
  'native',
  '--project',
  'cuda',
];

/** Without the tests of the CPU's other paths. */
function checked(files) {
  const args = [...vitest, '--exclude', '**/*Paths.test.ts', ...files];
  run(process.execPath, args, { ...device, TLORA_EMULATE_CHECK: '1' });
}

function trainingStep() {
  const args = [
    '--import',
    'tsx',
    'scripts/parity.ts',
    'test/fixtures',
    '--device',
    'cuda',
    '--filter',
    'sd15/adapter',
  ];
  run(process.execPath, args, device);
}

function wholeRuns() {
  run(process.execPath, [...vitest, 'test/end-to-end/parity.test.ts', 'test/end-to-end/trainCuda.test.ts'], device);
}

if (!flags.includes('--build')) {
  const files = flags.filter((flag) => !flag.startsWith('--'));
  checked(files.length > 0 ? files : ['test/cuda', 'test/native/ops']);
  if (files.length === 0) trainingStep();
  if (flags.includes('--parity')) wholeRuns();
}
