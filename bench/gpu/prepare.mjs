// node bench/gpu/prepare.mjs [DIR]: makes what bench/gpu.sh needs on a machine without Node (default build/gpu-inputs):
//   ops.trace, parity.trace   what the tests of the ops, and those of the reference's numbers, do with an engine on the emulated device
//   *.plan                    encoded training steps: SDXL at 1024 x 1024 with batch 1 and 4, SD 1.5 at 512 x 512; bf16, rank 64
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..', '..');
const inputs = path.resolve(process.argv[2] ?? path.join(root, 'build', 'gpu-inputs'));
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

const STEPS = [
  { name: 'sdxl-1024-batch-1', shape: 'sdxl', options: ['--resolution', '1024', '--batch', '1'] },
  { name: 'sdxl-1024-batch-4', shape: 'sdxl', options: ['--resolution', '1024', '--batch', '4'] },
  { name: 'sd15-512-batch-1', shape: 'sd15', options: ['--resolution', '512', '--batch', '1'] },
];

/** Plans need a model's configs and headers only. */
function emit({ name, shape, options }) {
  const model = path.join(inputs, 'models', shape);
  node([path.join(root, 'scripts', 'make-random-model.mjs'), '--shape', shape, '--headers-only', '--out', model]);
  const plan = ['plan', '--model', model, '--device', 'cuda', '--precision', 'bf16', '--rank', '64'];
  const out = path.join(inputs, `${name}.plan`);
  node(['--import', 'tsx', path.join(root, 'lib', 'cli', 'main.ts'), ...plan, ...options, '--emit', out], {
    TLORA_CUDA_LIBRARY: library,
  });
  rmSync(path.join(inputs, 'models'), { recursive: true });
}

mkdirSync(inputs, { recursive: true });
node([path.join(root, 'scripts', 'emulate-cuda.mjs'), '--build']);
for (const step of STEPS) emit(step);
record('ops', ['test/native/ops'], 2e5);
record('parity', ['test/end-to-end/parity.test.ts'], 10e6);
for (const file of readdirSync(inputs)) {
  console.log(`${file}  ${(statSync(path.join(inputs, file)).size / 1e6).toFixed(1)} MB`);
}
