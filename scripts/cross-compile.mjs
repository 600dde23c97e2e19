// Compiles native/core and native/cpu for aarch64 with Debian's cross compiler, where that is installed, and looks whether the
// micro-kernel of matrix products came out as fused NEON instructions. Nothing is run. The micro-kernels are compiled as in a
// release, all else with less optimisation, which takes a fraction of the time and finds the same errors.
//   node scripts/cross-compile.mjs [PROGRAM]     also links tlora-run-plan for aarch64 and leaves it there
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '..');
const compiler = 'aarch64-linux-gnu-g++';
const flags = ['-std=gnu++20', '-fPIC', '-ffp-contract=off', '-Wall', '-Wextra', '-Wno-psabi', '-Inative'];
const MICRO_KERNELS = 'gemmMicro.cpp';

/** What a program prints; an error carries what it complained of. */
async function output(command, args) {
  const { stdout } = await run(command, args, { cwd: root, maxBuffer: 1 << 28 });
  return stdout;
}

function sources() {
  return ['core', 'cpu'].flatMap((room) =>
    fs
      .readdirSync(path.join(root, 'native', room))
      .filter((name) => name.endsWith('.cpp'))
      .map((name) => path.join('native', room, name)),
  );
}

/** Fused multiply-adds of four lanes in the loops of products. */
async function countFused(object) {
  const text = await output('aarch64-linux-gnu-objdump', ['--disassemble', object]);
  return [...text.matchAll(/\tfmla\tv\d+\.4s, v\d+\.4s, v\d+\./g)].length;
}

/** As many compilers at once as there are cores. */
async function compileAll(files, scratch) {
  const left = [...files];
  const objects = [];
  const worker = async () => {
    for (let file = left.shift(); file; file = left.shift()) {
      const object = path.join(scratch, `${path.basename(path.dirname(file))}-${path.basename(file)}.o`);
      const level = path.basename(file) === MICRO_KERNELS ? '-O3' : '-O1';
      await output(compiler, [...flags, level, '-c', file, '-o', object]);
      objects.push(object);
    }
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, worker));
  return objects;
}

async function main() {
  if (spawnSync(compiler, ['--version'], { stdio: 'ignore' }).status !== 0) {
    console.log(`cross-compile: ${compiler} is not installed; nothing was compiled for aarch64`);
    return;
  }
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'tlora-aarch64-'));
  try {
    const objects = await compileAll(sources(), scratch);
    const [, , program] = process.argv;
    if (program) await output(compiler, [...objects, '-pthread', '-ldl', '-static', '-o', path.resolve(program)]);
    const fused = await countFused(path.join(scratch, `cpu-${MICRO_KERNELS}.o`));
    console.log(
      `cross-compile: ${objects.length} files for aarch64, ${fused} fused NEON instructions in the micro-kernels`,
    );
    if (fused === 0) throw new Error('the micro-kernels of matrix products are not NEON code');
  } finally {
    fs.rmSync(scratch, { recursive: true });
  }
}

await main();
