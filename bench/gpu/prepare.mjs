// node bench/gpu/prepare.mjs [--plans | --tiny] [DIR]: makes what bench/gpu.sh needs on a machine without Node (default build/gpu-inputs):
//   ops.trace, parity.trace   what the tests of the ops, and those of the reference's numbers, do with an engine on the emulated device
//   *.plan, *.counts.json     encoded training steps: SDXL at 1024 x 1024 with batch 1 and 4, SD 1.5 at 512 x 512; bf16, rank 64; SDXL's forward
//                             pass alone, a step of guided sampling, and the decoder; bytes and operations of their calls
//   sdxl-start/               the graphs that draw all of SDXL's adapters
//   *.config.json             of the UNets, for PyTorch
// --plans: no traces. --tiny: plans of a tiny model, and no traces, to try bench/gpu.sh without a GPU.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

const flags = process.argv.slice(2).filter((word) => word.startsWith('--'));
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const withTraces = flags.length === 0;
const root = path.resolve(import.meta.dirname, '..', '..');
const inputs = path.resolve(words[0] ?? path.join(root, 'build', 'gpu-inputs'));
const library = path.join(root, 'build', 'emulated', 'Release', 'tlora_cuda_emulated.so');

function node(args, env = {}) {
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (status !== 0) process.exit(status ?? 1);
}

function record(trace, tests, most) {
  const file = path.join(inputs, `${trace}.trace`);
  rmSync(file, { force: true });
  const device = {
    TLORA_TEST_DEVICE: 'cuda',
    TLORA_CUDA_LIBRARY: library,
    TLORA_TRACE: file,
    TLORA_TRACE_MOST: String(most),
  };
  node([path.join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--project', 'native', ...tests], device);
}

const SHAPES = flags.includes('--tiny')
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

mkdirSync(inputs, { recursive: true });
if (withTraces) node([path.join(root, 'scripts', 'emulate-cuda.mjs'), '--build']);
for (const [shape, jobs] of Object.entries(SHAPES)) emit(shape, jobs);
if (withTraces) {
  record('ops', ['test/native/ops'], 2e5);
  record('parity', ['test/end-to-end/parity.test.ts'], 10e6);
}
for (const file of readdirSync(inputs)) {
  console.log(`${file}  ${(statSync(path.join(inputs, file)).size / 1e6).toFixed(1)} MB`);
}
