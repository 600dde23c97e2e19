// Runs the tests of native/cuda, without a device, on what nvcc makes of its kernels: builds tlora_cuda_ptx.so (test/support/cuda/ptx, a machine
// for PTX) and the machine's own planted kernels, then the machine's tests and every op's, with each access of a kernel checked for bounds,
// alignment and races. Prints one line and succeeds where there is no nvcc, or a processor that lacks what the machine needs.
// --build: only builds. --training: whole tiny runs instead, unchecked. --sample PLAN...: three blocks of every kernel of emitted plans, at their full
// sizes (tlora plan --emit), for what they reach for. Other arguments name test files: these alone.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, 'build', 'ptx');
const release = path.join(folder, 'Release');

function run(command, args, env = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (status !== 0) process.exit(status ?? 1);
}

/** What is missing, or undefined. */
function missing() {
  if (spawnSync('nvcc', ['--version'], { stdio: 'ignore' }).status !== 0) return 'no nvcc';
  if (process.arch !== 'x64') return undefined;
  const flags = readFileSync('/proc/cpuinfo', 'utf8');
  return ['avx2', 'fma', 'f16c'].every((flag) => flags.includes(` ${flag}`)) ? undefined : 'a processor without AVX2';
}

const why = missing();
if (why) {
  console.log(`skipped: ${why}, so nvcc's code for the CUDA kernels was not run`);
  process.exit(0);
}

run('cmake', ['-S', root, '-B', folder, '-DTLORA_CUDA=OFF', '-DTLORA_PTX=ON', '--log-level=WARNING']);
const targets = ['tlora_cuda_ptx', 'tlora-planted-ptx', 'tlora-planted-kernels'];
run('cmake', ['--build', folder, '--target', ...targets, '-j', String(availableParallelism())]);

const flags = process.argv.slice(2);
const vitest = [
  path.join(root, 'node_modules', 'vitest', 'vitest.mjs'),
  'run',
  '--project',
  'native',
  '--project',
  'ptx',
];
const device = {
  TLORA_TEST_DEVICE: 'cuda',
  TLORA_CUDA_LIBRARY: path.join(release, 'tlora_cuda_ptx.so'),
  TLORA_PTX_PLANTED: release,
  TLORA_DEPENDENT_LAUNCH: '1', // every kernel then has to wait for the one before it
};

if (flags.includes('--training')) {
  run(process.execPath, [...vitest, 'test/end-to-end/trainCuda.test.ts'], device);
} else if (flags[0] === '--sample') {
  const plans = flags.slice(1).map((plan) => path.resolve(plan));
  const program = path.join(root, 'build', 'Release', 'tlora-run-plan');
  const options = ['--device', 'cuda', '--no-record', '--repeat', '1', '--fixed'];
  run(program, [...plans, ...options], { ...device, TLORA_PTX_SAMPLE: '1', TLORA_EMULATED_MEMORY: String(40e9) });
} else if (!flags.includes('--build')) {
  const files = flags.length > 0 ? flags : ['test/ptx', 'test/native/ops'];
  // Without the tests of the CPU's other paths.
  run(process.execPath, [...vitest, '--exclude', '**/*Paths.test.ts', ...files], {
    ...device,
    TLORA_EMULATE_CHECK: '1',
  });
}
