// Runs the tests of native/cuda without a device: builds tlora_cuda_emulated.so and the emulator's own planted kernels, then
//   1. the emulator's tests and every op's tests, with each access of a kernel checked for races and bounds;
//   2. with --parity: the reference's numbers (test/fixtures) and whole runs, unchecked, on the emulated device.
// --build: only builds. Other arguments go to vitest: names of test files.
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
if (!flags.includes('--build')) {
  const device = {
    TLORA_TEST_DEVICE: 'cuda',
    TLORA_CUDA_LIBRARY: library,
    TLORA_PLANTED: path.join(release, 'tlora-planted'),
  };
  const files = flags.filter((flag) => !flag.startsWith('--'));
  const tests = files.length > 0 ? files : ['test/cuda', 'test/native/ops'];
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const projects = ['--project', 'native', '--project', 'cuda'];
  run(process.execPath, [vitest, 'run', ...projects, ...tests], { ...device, TLORA_EMULATE_CHECK: '1' });
  if (flags.includes('--parity')) {
    const whole = ['parity', 'trainCuda'].map((name) => `test/end-to-end/${name}.test.ts`);
    run(process.execPath, [vitest, 'run', '--project', 'native', ...whole], device);
  }
}
