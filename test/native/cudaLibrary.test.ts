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
    expect(look(library)).toMatchObject({
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

/** Stands in for cuDNN 9 and what it opens by itself; in a process of its own, as a library that was opened once stays. */
describe('a cuDNN', () => {
  const PARTS = ['graph', 'heuristic', 'engines_precompiled', 'engines_runtime_compiled'].map(
    (part) => `libcudnn_${part}.so.9`,
  );
  const library = (): string => join(folder, 'needs.so');
  const root = (): string => join(folder, 'nvidia');
  const dnn = (name: string): string => join(root(), 'cudnn', 'lib', name);

  /** Moves a library made here to where the wheels have it. */
  function install(name: string, source: string, wheel = 'cudnn'): void {
    const made = compile(name, source);
    mkdirSync(join(root(), wheel, 'lib'), { recursive: true });
    renameSync(made, join(root(), wheel, 'lib', name));
  }

  beforeEach(() => {
    const front = 'extern "C" unsigned long cudnnGetVersion() { __builtin_trap(); }';
    compile('libcudnn.so.9', front);
    compile('needs.so', BACKEND, ['libcudnn.so.9']);
    renameSync(join(folder, 'libcudnn.so.9'), join(folder, 'front'));
    for (const part of PARTS) {
      install(
        part,
        part === PARTS[0] ? 'extern "C" unsigned long cudnnGetCudartVersion() { return 98070; }' : 'int x;',
      );
    }
    renameSync(join(folder, 'front'), dnn('libcudnn.so.9'));
    install('libcublasLt.so.98', 'int x;', 'cublas');
  });

  function looked(): { readonly reason: string; readonly lacking: string; readonly maps: string } {
    const script = `process.dlopen(module, process.argv[1]);
      const { reason, lacking } = module.exports.cuda({ library: process.argv[2], nvidiaRoot: process.argv[3] });
      console.log(JSON.stringify({ reason, lacking, maps: require('node:fs').readFileSync('/proc/self/maps', 'utf8') }));`;
    const words = ['-e', script, loadAddon().path, library(), root()];
    const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    expect(stderr + status).toBe('0');
    return JSON.parse(stdout);
  }

  test('that is whole is opened', () => {
    expect(looked().reason).toMatch(/was built for another version/);
  });

  test.each(PARTS)('without %s is refused before it ends the process', (part) => {
    rmSync(dnn(part));
    expect(looked().reason).toMatch(
      new RegExp(
        `^the CUDA backend is there, but a part of cuDNN cannot be opened: .*${part}.*; install cuDNN 9 anew$`,
      ),
    );
  });

  test('whose first part is another library is refused', () => {
    install('libcudnn_graph.so.9', 'int x;');
    expect(looked().reason).toMatch(/^the CUDA backend is there, but .*libcudnn_graph\.so\.9 is not that of cuDNN 9/);
  });

  test('made with another CUDA than the backend needs the cuBLASLt of that', () => {
    rmSync(join(root(), 'cublas', 'lib', 'libcublasLt.so.98'));
    expect(looked().reason).toBe(
      'the CUDA backend is there, but cuDNN needs libcublasLt.so.98, which is missing: pip install nvidia-cublas, or install the CUDA 98 toolkit',
    );
  });

  test('whose first part names one more part needs that one too, but leaves it to cuDNN to open', () => {
    const names = 'extern "C" const char* names() { return "libcudnn_engines_tensor_ir.so"; }';
    install(PARTS[0]!, `extern "C" unsigned long cudnnGetCudartVersion() { return 98070; } ${names}`);
    expect(looked().reason).toBe(
      'the CUDA backend is there, but a part of cuDNN is missing: libcudnn_engines_tensor_ir.so.9; install cuDNN 9 anew',
    );
    install('libcudnn_engines_tensor_ir.so.9', 'int x;');
    const { reason, maps } = looked();
    expect(reason).toMatch(/was built for another version/);
    expect(maps).not.toContain('tensor_ir');
  });

  test("gets the compiler of its CUDA, with the compiler's second library, or says that it goes without", () => {
    const without = (name: string): string =>
      `${name} is missing, with which cuDNN compiles what computes attention, so that tlora's own kernels do it alone: pip install nvidia-cuda-nvrtc, or install the CUDA 98 toolkit`;
    expect(looked().lacking).toBe(without('libnvrtc.so.98'));
    const version = 'extern "C" int nvrtcVersion(int* major, int* minor) { *major = 98, *minor = 7; return 0; }';
    install('libnvrtc.so.98', version, 'cuda_nvrtc');
    expect(looked().lacking).toBe(without('libnvrtc-builtins.so.98.7'));
    install('libnvrtc-builtins.so.98.7', 'int x;', 'cuda_nvrtc');
    const { reason, lacking, maps } = looked();
    expect(reason).toMatch(/was built for another version/);
    expect(lacking).toBe('');
    expect(maps).toContain(join(root(), 'cuda_nvrtc', 'lib', 'libnvrtc-builtins.so.98.7'));
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
