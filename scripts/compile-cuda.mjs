// Compiles and links tlora_cuda.so on a machine without a device, for CI: nvcc from PATH, cuBLASLt and cuDNN from TLORA_NVIDIA_ROOT or
// from two Python wheels in a virtual environment of their own. Without nvcc or the wheels it prints one line and succeeds.
// TLORA_CUDA_ARCHS: architectures to compile for, instead of the two that stand for all here, the oldest and Hopper's.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, 'build', 'cuda');
const library = path.join(folder, 'Release', 'tlora_cuda.so');

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const works = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/** The folder nvidia/ of wheels installed below `scratch`, or undefined. */
function installWheels(scratch) {
  const pip = path.join(scratch, 'bin', 'pip');
  const wheels = ['install', '--quiet', '--retries', '1', 'nvidia-cublas', 'nvidia-cudnn-cu13'];
  if (!works('python3', ['-m', 'venv', scratch]) || !works(pip, wheels)) return undefined;
  const lib = path.join(scratch, 'lib');
  const python = readdirSync(lib).find((name) => name.startsWith('python'));
  return path.join(lib, python, 'site-packages', 'nvidia');
}

/** The addon opens what was built; without a driver the reason is that there is none. */
function checkOpens(nvidiaRoot) {
  const script = `process.dlopen(module, process.argv[1]);
    console.log(JSON.stringify(module.exports.cuda({ library: process.argv[2], nvidiaRoot: process.argv[3] })));`;
  const addon = path.join(root, 'build', 'Release', 'tlora.node');
  const opened = spawnSync(process.execPath, ['-e', script, addon, library, nvidiaRoot], { encoding: 'utf8' });
  console.log(`${opened.stdout}${opened.stderr}`.trim());
  const cuda = JSON.parse(opened.stdout);
  if (!cuda.found && !cuda.reason.startsWith('no CUDA device can be used')) process.exit(1);
}

/**
 * tlora-cudnn-plans: cuDNN takes every graph, and has engines for it on devices that are only described.
 * tlora-products: what cuBLASLt is told is the product that was asked for.
 */
function check(program) {
  const made = spawnSync(path.join(folder, 'Release', program), { encoding: 'utf8' });
  const lines = made.stdout.trim().split('\n');
  console.log(made.status === 0 ? lines.at(-1) : `${lines.join('\n')}\n${made.stderr}`);
  if (made.status !== 0) process.exit(1);
}

function compile(nvidiaRoot) {
  const architectures = process.env.TLORA_CUDA_ARCHS ?? '80-real;90-real';
  const options = ['-DTLORA_CUDA=ON', `-DTLORA_NVIDIA_ROOT=${nvidiaRoot}`, `-DTLORA_CUDA_ARCHS=${architectures}`];
  run('cmake', ['-S', root, '-B', folder, '--log-level=WARNING', ...options]);
  run('cmake', [
    '--build',
    folder,
    '--target',
    'tlora_cuda',
    'tlora-cudnn-plans',
    'tlora-products',
    '-j',
    String(availableParallelism()),
  ]);
  console.log(`compiled for ${architectures}`);
  checkOpens(nvidiaRoot);
  check('tlora-cudnn-plans');
  check('tlora-products');
}

if (!works('nvcc', ['--version'])) {
  console.log('skipped: there is no nvcc on PATH, so the CUDA backend was not compiled');
} else {
  const scratch = mkdtempSync(path.join(tmpdir(), 'tlora-nvidia-'));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  const nvidiaRoot = process.env.TLORA_NVIDIA_ROOT || installWheels(scratch);
  if (nvidiaRoot) compile(nvidiaRoot);
  else console.log('skipped: pip has no nvidia-cublas and nvidia-cudnn-cu13, so the CUDA backend was not compiled');
}
