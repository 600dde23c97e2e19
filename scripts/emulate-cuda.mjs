// Runs the tests of native/cuda without a device: builds tlora_cuda_emulated.so and the emulator's own planted kernels, then side by side
//   1. test/cuda and every op's tests, with each access of a kernel checked for races and bounds;
//   2. whole tiny runs, then all of the reference's numbers in test/fixtures, in float32 and in bfloat16, unchecked.
// --build: only builds. Other arguments name test files: 1. alone, with these.
import { spawn, spawnSync } from 'node:child_process';
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

/** Ends the process if the program fails. What it says comes at its end, in one piece. */
function beside(args, env) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => said.push(bytes));
    child.on('close', (status) => {
      process.stdout.write(Buffer.concat(said));
      if (status !== 0) process.exit(status ?? 1);
      resolve();
    });
  });
}

/** Without the tests of the CPU's other paths. */
function checked(files) {
  return beside([...vitest, '--exclude', '**/*Paths.test.ts', ...files], { ...device, TLORA_EMULATE_CHECK: '1' });
}

async function unchecked() {
  await beside([...vitest, 'test/end-to-end/trainCuda.test.ts', 'test/end-to-end/trainBatches.test.ts'], device);
  const parity = ['--import', 'tsx', 'scripts/parity.ts', 'test/fixtures', '--device', 'cuda', '--precision'];
  await beside([...parity, 'fp32'], device);
  await beside([...parity, 'bf16', '--filter', 'sd15'], device);
}

if (!flags.includes('--build')) {
  if (flags.length > 0) await checked(flags);
  else await Promise.all([checked(['test/cuda', 'test/native/ops']), unchecked()]);
}
