// Builds the native addon into build/Release: with CMake through cmake-js, or with node-gyp where CMake is missing.
// TLORA_BUILD = auto (default) | cuda | cpu | skip. Offline; all output goes to stderr. Kernels are compiled for the GPUs of this machine, and
// without any for all that tlora knows, or for TLORA_CUDA_ARCHS ("80-real;90-real").
// --install: called by `npm install`, which must not fail for want of a compiler.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const require = createRequire(import.meta.url);
const buildFolder = path.join(root, 'build');
const cmakeFolder = path.join(buildFolder, 'cmake');
const release = path.join(buildFolder, 'Release');
const prebuild = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'tlora.node');
const installing = process.argv.includes('--install');

const say = (text) => process.stderr.write(`tlora: ${text}\n`);
const inherit = { cwd: root, stdio: ['ignore', process.stderr, process.stderr] };

/** One build at a time: others wait for the lock; one whose owner has died is taken over. */
function withLock(body) {
  fs.mkdirSync(buildFolder, { recursive: true });
  const lock = path.join(buildFolder, 'lock');
  for (;;) {
    try {
      fs.writeFileSync(lock, `${process.pid}`, { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (!ownerLives(lock)) fs.rmSync(lock, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  try {
    return body();
  } finally {
    fs.rmSync(lock, { force: true });
  }
}

function ownerLives(lock) {
  try {
    const pid = Number(fs.readFileSync(lock, 'utf8'));
    if (pid > 0) process.kill(pid, 0);
    return true; // an empty file: its owner is about to write its number
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Puts the CUDA toolkit on PATH where only its installer has put it anywhere. */
function findToolkit() {
  if (spawnSync('nvcc', ['--version'], { stdio: 'ignore' }).status === 0) return;
  const { CUDA_HOME, CUDA_PATH } = process.env;
  const folders = [CUDA_HOME, CUDA_PATH, '/usr/local/cuda'].filter(Boolean).map((toolkit) => path.join(toolkit, 'bin'));
  const found = folders.find((folder) => fs.existsSync(path.join(folder, 'nvcc')));
  if (found) process.env.PATH = `${process.env.PATH}${path.delimiter}${found}`;
}

/** The folder of the NVIDIA wheels of the python3 on PATH, or ''; of several the one with cuDNN. */
function nvidiaRoot() {
  if (process.env.TLORA_NVIDIA_ROOT) return process.env.TLORA_NVIDIA_ROOT;
  const script = `import nvidia, os
paths = list(nvidia.__path__)
print(next((p for p in paths if os.path.isdir(p + "/cudnn")), paths[0]))`;
  const asked = spawnSync('python3', ['-c', script], { encoding: 'utf8' });
  return asked.status === 0 ? asked.stdout.trim() : '';
}

/** What CMake is to compile kernels for; '' for all that it would by itself. */
function architectures() {
  if (process.env.TLORA_CUDA_ARCHS) return process.env.TLORA_CUDA_ARCHS;
  const said = (program, ...words) => spawnSync(program, words, { encoding: 'utf8', timeout: 30_000 }).stdout ?? '';
  const gpus = said('nvidia-smi', '--query-gpu=compute_cap', '--format=csv,noheader').split('\n');
  const own = [...new Set(gpus.map((line) => line.trim().replace('.', '')))].filter((arch) => Number(arch) >= 80);
  if (own.length === 0) return '';
  const known = said('nvcc', '--list-gpu-code').split('\n');
  return own.every((arch) => known.includes(`sm_${arch}`)) ? own.map((arch) => `${arch}-real`).join(';') : '';
}

function cmakeJs(command, cuda) {
  const script = require.resolve('cmake-js/bin/cmake-js');
  const options = [
    `--CDTLORA_CUDA=${cuda}`,
    `--CDTLORA_NVIDIA_ROOT=${nvidiaRoot()}`,
    `--CDTLORA_CUDA_ARCHS=${cuda === 'OFF' ? '' : architectures()}`,
  ];
  const jobs = String(availableParallelism());
  const silent = command === 'build' ? [] : ['-l', 'error'];
  return spawnSync(
    process.execPath,
    [script, command, '-d', root, '-O', cmakeFolder, '-p', jobs, ...silent, ...options],
    inherit,
  ).status;
}

/** `cmake-js build` alone ignores changed options, so configure always runs; it takes a second. */
function buildWithCMake(cuda) {
  if (cmakeJs('configure', cuda) !== 0) {
    fs.rmSync(cmakeFolder, { recursive: true, force: true });
    if (cmakeJs('configure', cuda) !== 0) return false;
  }
  if (cmakeJs('build', cuda) !== 0) return false;
  const files = ['tlora.node', 'tlora-run-plan'];
  if (cuda === 'OFF') fs.rmSync(path.join(release, 'tlora_cuda.so'), { force: true });
  else files.push('tlora_cuda.so');
  for (const file of files) put(path.join(cmakeFolder, 'Release', file), path.join(release, file));
  return true;
}

/** Copies under a temporary name and renames, so that nobody ever loads half a file. */
function put(from, to) {
  if (!fs.existsSync(from)) return;
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.copyFileSync(from, `${to}.${process.pid}`);
  fs.renameSync(`${to}.${process.pid}`, to);
}

function nodeGyp() {
  const prefix = path.resolve(process.execPath, '..', '..');
  const beside = path.join(prefix, 'lib', 'node_modules', 'npm', 'node_modules', 'node-gyp', 'bin', 'node-gyp.js');
  const script = process.env.npm_config_node_gyp ?? beside;
  if (!fs.existsSync(script)) return undefined;
  const headers = fs.existsSync(path.join(prefix, 'include', 'node', 'common.gypi')) ? [`--nodedir=${prefix}`] : [];
  return (...words) => spawnSync(process.execPath, [script, ...words, ...headers], inherit).status;
}

function buildWithNodeGyp() {
  const run = nodeGyp();
  if (!run) {
    say('neither CMake nor node-gyp was found');
    return false;
  }
  say('CMake was not found: building the CPU backend with node-gyp');
  return run('configure') === 0 && run('build', '--jobs=max') === 0;
}

function build(mode) {
  const hasCMake = spawnSync('cmake', ['--version'], { stdio: 'ignore' }).status === 0;
  if (!hasCMake && mode !== 'cuda') return buildWithNodeGyp();
  if (!hasCMake) {
    say('CMake was not found; the CUDA backend needs it');
    return false;
  }
  if (mode !== 'cpu') findToolkit();
  if (buildWithCMake({ auto: 'AUTO', cuda: 'ON', cpu: 'OFF' }[mode])) return true;
  const hasCudaSources = fs.existsSync(path.join(root, 'native', 'cuda'));
  if (mode !== 'auto' || !hasCudaSources) return false;
  say('the build with CUDA failed (log above): building the CPU backend only');
  return buildWithCMake('OFF');
}

function opens(addon) {
  const script = 'process.dlopen({ exports: {} }, process.argv[1])';
  return spawnSync(process.execPath, ['-e', script, addon], { stdio: 'ignore' }).status === 0;
}

function main() {
  const mode = (process.env.TLORA_BUILD || 'auto').toLowerCase();
  if (!['auto', 'cuda', 'cpu', 'skip'].includes(mode)) {
    say(`TLORA_BUILD: expected auto, cuda, cpu or skip, got ${mode}`);
    return 2;
  }
  if (mode === 'skip') return 0;
  const checkout = fs.existsSync(path.join(root, 'tsconfig.json'));
  if (installing && !checkout && mode === 'auto' && fs.existsSync(prebuild) && opens(prebuild)) {
    say('using the addon that came with the package');
    return 0;
  }
  if (withLock(() => build(mode))) return 0;
  say('the native addon was not built (log above). It needs g++ or clang++ with C++20, and CMake or make with Python.');
  say('Build it again with: npx tlora build');
  return installing && mode !== 'cuda' ? 0 : 1;
}

process.exitCode = main();
