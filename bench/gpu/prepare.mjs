// node bench/gpu/prepare.mjs [--tiny] [--only plans,ops,parity,programs] [DIR]: makes what bench/gpu.sh needs on a machine without Node, in DIR
// (default build/gpu-inputs), and packs it into DIR.tar.xz, which is all that must travel there beside the sources:
//   ops.trace, parity.trace   what the tests of the ops, and those of the reference's numbers, do with an engine on the emulated device
//   *.plan, *.counts.json     encoded training steps: SDXL at 1024 x 1024 with batch 1 and 4, SD 1.5 at 512 x 512; bf16, rank 64; SDXL's forward
//                             pass alone, a step of guided sampling, and the decoder; bytes and operations of their calls
//   sdxl-start/               the graphs that draw all of SDXL's adapters
//   *.config.json             of the UNets, for PyTorch
//   programs/                 tlora_cuda.so for TLORA_GPU_ARCH (default 90) and its programs, where nvcc is; else bench/gpu.sh builds them there
// --only: some of it, so that the others stay as they are. --tiny: plans of a tiny model, and nothing else, to try bench/gpu.sh without a GPU.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { tiny: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const parts = options.tiny ? ['plans'] : (options.only?.split(',') ?? ['plans', 'ops', 'parity', 'programs']);
const root = path.resolve(import.meta.dirname, '..', '..');
const inputs = path.resolve(positionals[0] ?? path.join(root, 'build', 'gpu-inputs'));
const library = path.join(root, 'build', 'emulated', 'Release', 'tlora_cuda_emulated.so');

function run(command, args, env = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (status !== 0) process.exit(status ?? 1);
}

const node = (args, env) => run(process.execPath, args, env);

/** Without the tests of the CPU's other paths, which do all of it again. */
function record(trace, tests, most) {
  const file = path.join(inputs, `${trace}.trace`);
  rmSync(file, { force: true });
  const device = {
    TLORA_TEST_DEVICE: 'cuda',
    TLORA_CUDA_LIBRARY: library,
    TLORA_TRACE: file,
    TLORA_TRACE_MOST: String(most),
  };
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  node([vitest, 'run', '--project', 'native', '--exclude', '**/*Paths.test.ts', ...tests], device);
}

const SHAPES = options.tiny
  ? { 'tiny-sdxl': ['tiny-64-batch-1', 'tiny-64-forward', 'tiny-64-guided', 'tiny-start'] }
  : {
      sdxl: ['sdxl-1024-batch-1', 'sdxl-1024-batch-4', 'sdxl-1024-forward', 'sdxl-1024-guided', 'sdxl-start'],
      sd15: ['sd15-512-batch-1'],
    };

/** Plans need a model's configs and headers only. */
function emit(shape, jobs) {
  const model = path.join(inputs, 'models', shape);
  node([path.join(root, 'scripts', 'make-random-model.mjs'), '--shape', shape, '--headers-only', '--out', model]);
  node(['--import', 'tsx', path.join(import.meta.dirname, 'emit.ts'), model, jobs.join(','), inputs]);
  copyFileSync(
    path.join(model, 'unet', 'config.json'),
    path.join(inputs, `${shape.replace('tiny-sdxl', 'tiny')}.config.json`),
  );
  rmSync(path.join(inputs, 'models'), { recursive: true });
}

function programs() {
  if (spawnSync('nvcc', ['--version'], { stdio: 'ignore' }).status !== 0) {
    console.log('there is no nvcc on PATH: bench/gpu.sh will build the programs');
    return;
  }
  const env = { TLORA_GPU_ARCH: process.env.TLORA_GPU_ARCH ?? '90' };
  run(path.join(root, 'bench', 'gpu.sh'), ['build', path.join(inputs, 'programs')], env);
}

mkdirSync(inputs, { recursive: true });
if (parts.includes('plans')) for (const [shape, jobs] of Object.entries(SHAPES)) emit(shape, jobs);
if (parts.includes('ops') || parts.includes('parity'))
  node([path.join(root, 'scripts', 'emulate-cuda.mjs'), '--build']);
if (parts.includes('ops')) record('ops', ['test/native/ops'], 2e5);
if (parts.includes('parity')) record('parity', ['test/end-to-end/parity.test.ts', '-t', 'equals the reference'], 10e6);
if (parts.includes('programs')) programs();
const archive = `${inputs}.tar.xz`;
run('tar', ['-C', inputs, '--exclude', './unpacked', '-cJf', archive, '.'], { XZ_OPT: '-9' });
for (const file of [...readdirSync(inputs).map((name) => path.join(inputs, name)), archive]) {
  console.log(`${path.basename(file)}  ${(statSync(file).size / 1e6).toFixed(1)} MB`);
}
