// Opening the CUDA backend: each thing that can be missing gives one plain line. Libraries made here stand in for NVIDIA's.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { CudaInfo } from '../../lib/addon/surface.js';
import { DeviceError } from '../../lib/errors.js';

let folder: string;
let saved: NodeJS.ProcessEnv;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tlora-cuda-'));
  saved = { ...process.env };
});
afterEach(() => {
  process.env = saved;
  rmSync(folder, { recursive: true });
});

function look(library: string | undefined, nvidiaRoot?: string): CudaInfo {
  delete process.env.TLORA_CUDA_LIBRARY;
  if (library !== undefined) process.env.TLORA_CUDA_LIBRARY = library;
  if (nvidiaRoot !== undefined) process.env.TLORA_NVIDIA_ROOT = nvidiaRoot;
  return loadAddon().info().cuda;
}

/** A shared library of `source` in the folder, which needs `libraries` of the folder. */
function compile(name: string, source: string, libraries: readonly string[] = []): string {
  const [from, to] = [join(folder, `${name}.cpp`), join(folder, name)];
  writeFileSync(from, source);
  const needed = libraries.map((library) => `-l:${library}`);
  const words = [
    '-shared',
    '-fPIC',
    '-Wl,--no-as-needed',
    `-Wl,-soname,${name}`,
    '-o',
    to,
    from,
    `-L${folder}`,
    ...needed,
  ];
  const { status, stderr } = spawnSync('c++', words, { encoding: 'utf8' });
  expect(stderr + status).toBe('0');
  return to;
}

const BACKEND = 'extern "C" const void* tlora_backend_get(unsigned) { return nullptr; }';

describe('the CUDA backend', () => {
  test('is found, or one line says why not', () => {
    const { found, reason, devices } = look(undefined);
    expect(reason.split('\n')).toHaveLength(1);
    expect([found, reason !== '', devices.length > 0]).toEqual(found ? [true, false, true] : [false, true, false]);
  });

  test('is not a file that is absent, no library, or no backend', () => {
    expect(look(join(folder, 'none.so')).reason).toBe(
      `TLORA_CUDA_LIBRARY names ${join(folder, 'none.so')}, which cannot be read`,
    );
    writeFileSync(join(folder, 'text.so'), 'text');
    expect(look(join(folder, 'text.so')).reason).toMatch(/^the CUDA backend cannot be opened: .*text\.so/);
    expect(look(loadAddon().path).reason).toBe(`${loadAddon().path} is not a backend of tlora`);
  });

  test('of another version is refused', () => {
    const library = compile('other.so', BACKEND);
    expect(look(library)).toEqual({
      found: false,
      reason: `${library} was built for another version of tlora; build both again: npx tlora build`,
      devices: [],
    });
  });

  test("names the one of NVIDIA's libraries that is missing, and finds it below TLORA_NVIDIA_ROOT", () => {
    const needed = compile('libcudnn.so.99', 'int dnn;');
    const library = compile('needs.so', BACKEND, ['libcudnn.so.99']);
    renameSync(needed, join(folder, 'hidden'));
    expect(look(library, join(folder, 'nvidia')).reason).toBe(
      'the CUDA backend is there, but libcudnn.so.99 is missing: pip install nvidia-cudnn-cu13 (or -cu12), or install cuDNN 9',
    );
    mkdirSync(join(folder, 'nvidia', 'cudnn', 'lib'), { recursive: true });
    renameSync(join(folder, 'hidden'), join(folder, 'nvidia', 'cudnn', 'lib', 'libcudnn.so.99'));
    expect(look(library, join(folder, 'nvidia')).reason).toMatch(/was built for another version/);
  });

  test("says which function one of NVIDIA's libraries lacks", () => {
    compile('libcudnn.so.98', 'int dnn;');
    const calls = 'extern "C" int cudnnNewest(); extern "C" int use() { return cudnnNewest(); }';
    const library = compile('newer.so', `${BACKEND} ${calls}`, ['libcudnn.so.98']);
    mkdirSync(join(folder, 'nvidia', 'cudnn', 'lib'), { recursive: true });
    renameSync(join(folder, 'libcudnn.so.98'), join(folder, 'nvidia', 'cudnn', 'lib', 'libcudnn.so.98'));
    expect(look(library, join(folder, 'nvidia')).reason).toBe(
      'the CUDA backend is there, but the cuDNN that was found has no cudnnNewest, so it is older than the one of the build: update it, or build tlora anew',
    );
  });
});

describe('an engine', () => {
  test('on CUDA is never one on the CPU instead', () => {
    process.env.TLORA_CUDA_LIBRARY = join(folder, 'none.so');
    const open = (device: string) => () => loadAddon().createEngine({ threads: 1, device }).dispose();
    for (const device of ['cuda', 'cuda:0', 'cuda:1']) {
      expect(open(device)).toThrow(DeviceError);
      expect(open(device)).toThrow('device cuda: TLORA_CUDA_LIBRARY names');
    }
    for (const device of ['', 'gpu', 'cuda:', 'cuda:x', 'cuda:-1', 'cuda: 1', 'cuda:12345']) {
      expect(open(device)).toThrow(`device: expected cpu, cuda or cuda:N, got ${device}`);
    }
    expect(open('cpu')).not.toThrow();
  });
});
