// Engines on the emulated device: devices, memory, recordings, and what a failure says. Needs TLORA_CUDA_LIBRARY.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine, Program, WeightSource } from '../../lib/addon/surface.js';
import { createGraph, type Graph, input, result, state, weight } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { embedding } from '../../lib/ops/embedding.js';
import { scale } from '../../lib/ops/scale.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { memoryForecast } from '../../lib/plan/memoryBudget.js';
import { CUDA_WORKSPACE_BYTES } from '../../lib/plan/target.js';
import { chain } from '../support/chainGraph.js';
import { testTarget } from '../support/nativeRun.js';

/** The program that only the CMake build makes. */
const runPlan = (): string => join(dirname(loadAddon().path), 'tlora-run-plan');

let engine: Engine;
beforeEach(() => {
  engine = loadAddon().createEngine({ threads: 2, device: 'cuda' });
});
afterEach(() => engine.dispose());

const load = (graph: Graph): Program => engine.load(encodePlan(makePlan(graph, testTarget(2))));
const read = (program: Program, name = 'y'): Float32Array => new Float32Array(program.read(name));

describe('devices', () => {
  test('are listed with what an engine takes of each', () => {
    expect(loadAddon().info().cuda).toEqual({
      found: true,
      reason: '',
      lacking: '',
      devices: [0, 1].map((index) => ({
        index,
        name: 'Emulated device',
        memoryBytes: 4 * 2 ** 30,
        workspaceBytes: CUDA_WORKSPACE_BYTES,
        capability: '9.0',
      })),
    });
  });

  test('are chosen by their number; one that is not there is named', () => {
    loadAddon().createEngine({ threads: 1, device: 'cuda:1' }).dispose();
    expect(() => loadAddon().createEngine({ threads: 1, device: 'cuda:2' })).toThrow('cuda:2: there is no such device');
  });

  test('have their own memory, which the figures tell', () => {
    const free = engine.memory().free;
    engine.createState('a', 1 << 20);
    expect(engine.memory()).toMatchObject({ state: 4 << 20, workspace: CUDA_WORKSPACE_BYTES, free: free - (4 << 20) });
    expect(engine.memory().peak).toBe((4 << 20) + CUDA_WORKSPACE_BYTES);
    const other = loadAddon().createEngine({ threads: 1, device: 'cuda:1' });
    expect(other.memory().free).toBe(free);
    other.dispose();
  });

  test('take memory for attention beside their workspace, if asked for it', () => {
    const { free } = engine.memory();
    const attentionBytes = 10 << 20;
    const other = loadAddon().createEngine({ threads: 1, device: 'cuda', attentionBytes });
    expect(other.memory()).toMatchObject({
      workspace: CUDA_WORKSPACE_BYTES + attentionBytes,
      peak: CUDA_WORKSPACE_BYTES + attentionBytes,
    });
    expect(free - other.memory().free).toBe(CUDA_WORKSPACE_BYTES + attentionBytes);
    other.dispose();
    expect(engine.memory().free).toBe(free);
    const tooMuch = { threads: 1, device: 'cuda', attentionBytes: 2 ** 40 };
    expect(() => loadAddon().createEngine(tooMuch)).toThrow('the memory for attention');
  });

  test('say what was needed and what was free when memory is short', () => {
    const free = engine.memory().free;
    expect(() => engine.createState('huge', 2 ** 31)).toThrow(
      expect.objectContaining({
        code: 'ERR_TLORA_OUT_OF_MEMORY',
        message: expect.stringContaining(
          `cuda:0: not enough memory for state buffer huge: ${2 ** 33} bytes needed, ${free} free`,
        ),
      }),
    );
    engine.createState('small', 4); // the device goes on
    expect([...engine.readState('small', 0, 4)]).toEqual([0, 0, 0, 0]);
  });
});

describe('weights', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tlora-slabs-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A file with 1, 2, 3 … as float32, and zeros up to half a GiB behind them; where a weight of it begins does not matter here. */
  function weightSource(name: string, shape: number[], more: Partial<WeightSource> = {}): WeightSource {
    const path = join(folder, 'weights.bin');
    if (!existsSync(path)) {
      writeFileSync(
        path,
        Float32Array.from({ length: 64 }, (_, i) => i + 1),
      );
      truncateSync(path, 2 ** 29);
    }
    return { name, path, offset: 0, dtype: 'f32', shape, ...more };
  }

  test('share slabs by component, take what the forecast says, and go when their slab is empty', async () => {
    const large = 2 ** 28; // bytes of a whole slab
    const sources = [
      weightSource('unet/a', [3, 5]),
      weightSource('unet/b', [65]),
      weightSource('unet/large', [large / 2], { dtype: 'f16', keep: true }),
      weightSource('unet/c', [1]),
      weightSource('vae/d', [5], { offset: 4 }),
    ];
    const { free } = engine.memory();
    await engine.loadWeights(sources);
    const graph = createGraph();
    for (const { name, shape, dtype } of sources) result(graph, name, scale(weight(graph, name, shape, dtype), 2));
    const expected = memoryForecast(makePlan(graph, testTarget(1))).weightBytes;
    expect(expected).toBe(256 + 512 + large + 256 + 256);
    expect(engine.memory()).toMatchObject({ weights: expected, free: free - expected });
    expect(engine.releaseWeights('unet/large')).toBe(1);
    expect(engine.memory()).toMatchObject({ weights: expected - large, free: free - expected + large });
    const small = createGraph();
    for (const { name, shape } of sources.filter((s) => s.dtype === 'f32')) {
      result(small, name, scale(weight(small, name, shape, 'f32'), 2));
    }
    const program = load(small);
    await program.run();
    expect(read(program, 'unet/a')).toEqual(Float32Array.from({ length: 15 }, (_, i) => 2 * (i + 1)));
    expect(read(program, 'unet/b')).toEqual(Float32Array.from({ length: 65 }, (_, i) => (i < 64 ? 2 * (i + 1) : 0)));
    expect(read(program, 'unet/c')).toEqual(Float32Array.of(2));
    expect(read(program, 'vae/d')).toEqual(Float32Array.of(4, 6, 8, 10, 12));
    program.dispose();
    engine.releaseWeights('unet/b');
    expect(engine.memory().weights).toBe(256 + 512 + 256 + 256); // a still lies in that slab
    engine.releaseWeights('unet/');
    expect(engine.memory().weights).toBe(256);
    engine.releaseWeights('vae/');
    expect(engine.memory().weights).toBe(0);
  });

  test('that are loaded again are replaced; a load that is cancelled keeps what it has loaded', async () => {
    const [a, b] = [weightSource('unet/a', [64]), weightSource('unet/b', [2])];
    await engine.loadWeights([a, b]);
    await engine.loadWeights([{ ...a, offset: 4, shape: [2] }]);
    expect(engine.memory().weights).toBe(256 + 256 + 256); // the first slab is there for b
    const graph = createGraph();
    result(graph, 'y', add(weight(graph, 'unet/a', [2], 'f32'), weight(graph, 'unet/b', [2], 'f32')));
    const program = load(graph);
    await program.run();
    expect(read(program)).toEqual(Float32Array.of(3, 5));
    const loading = engine.loadWeights(Array.from({ length: 50 }, (_, i) => weightSource(`vae/${i}`, [2 ** 20])));
    engine.cancel();
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
    const loaded = engine.releaseWeights('vae/');
    expect(loaded).toBeLessThan(50);
    expect(engine.memory().weights).toBe(256 + 256 + 256);
  });

  test('say what they take together when memory is short', async () => {
    const { free } = engine.memory();
    const sources = [weightSource('vae/a', [2 ** 31]), weightSource('vae/b', [3]), weightSource('unet/c', [100])];
    const loading = engine.loadWeights(sources);
    await expect(loading).rejects.toMatchObject({
      code: 'ERR_TLORA_OUT_OF_MEMORY',
      message: expect.stringContaining(
        `cuda:0: not enough memory for weights of ${2 ** 33 + 256 + 512} bytes in all, 1 of them from vae/a on: ${2 ** 33} bytes needed, ${free} free`,
      ),
    });
    expect(engine.memory()).toMatchObject({ weights: 0, free });
  });
});

describe('a program', () => {
  test('gives the same bits call by call, recorded and replayed', async () => {
    const program = load(chain(1000, 5));
    const x = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i));
    program.write('x', x);
    await program.run({ record: false });
    const expected = read(program);
    for (let run = 0; run < 4; run++) {
      program.write('x', new Float32Array(1000));
      await program.run();
      expect(read(program)).toEqual(new Float32Array(1000));
      program.write('x', x);
      await program.run();
      expect(read(program)).toEqual(expected);
    }
  });

  test('that cannot be recorded goes on call by call, and says so once', async () => {
    process.env.TLORA_EMULATED_UNRECORDABLE = 'yes';
    try {
      const program = load(chain(1000, 5));
      program.write('x', new Float32Array(1000).fill(1));
      const reasons: (string | undefined)[] = [];
      for (let run = 0; run < 4; run++) reasons.push((await program.run()).unrecorded);
      expect(reasons).toEqual([undefined, expect.stringMatching(/^recording: .*previous error/), undefined, undefined]);
      expect(read(program)).toEqual(new Float32Array(1000).fill(1 + 5));
    } finally {
      delete process.env.TLORA_EMULATED_UNRECORDABLE;
    }
  });

  test.skipIf(!existsSync(runPlan()))('that cannot be recorded fails in tlora-run-plan, once it is timed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tlora-unrecorded-'));
    const [plan, figures] = [join(folder, 'plan'), join(folder, 'figures')];
    writeFileSync(plan, encodePlan(makePlan(chain(1000, 5), testTarget(1))));
    const words = [plan, '--device', 'cuda', '--repeat', '4', '--json', figures];
    const run = (more: NodeJS.ProcessEnv) =>
      spawnSync(runPlan(), words, { encoding: 'utf8', env: { ...process.env, ...more } });
    const { status, stderr } = run({ TLORA_EMULATED_UNRECORDABLE: 'yes' });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^tlora-run-plan: the calls went one by one, as they could not be recorded: /),
    });
    expect(readFileSync(figures, 'utf8')).toContain('"medianMs":');
    expect(run({}).status).toBe(0);
    rmSync(folder, { recursive: true });
  });

  test('is recorded anew when memory has moved', async () => {
    const graph = createGraph();
    const x = input(graph, 'x', [100]);
    result(graph, 'y', add(add(x, weight(graph, 'w', [100], 'f32')), state(graph, 's', 0, [100], 's')));
    const keep = (value: number): void => {
      engine.addWeight({ name: 'w', dtype: 'f32', shape: [100] }, new Float32Array(100).fill(value));
    };
    engine.createState('s', 100);
    keep(1);
    const program = load(graph);
    program.write('x', new Float32Array(100).fill(0.5));
    for (const value of [1, 2, 3]) {
      keep(value);
      for (let run = 0; run < 4; run++) await program.run();
      expect(read(program)).toEqual(new Float32Array(100).fill(value + 0.5));
      engine.writeState('s', 0, new Float32Array(100).fill(value)); // no memory moves: the recording reads the new values
      await program.run();
      expect(read(program)).toEqual(new Float32Array(100).fill(2 * value + 0.5));
      engine.writeState('s', 0, new Float32Array(100));
    }
    const large = load(chain(100_000, 3)); // grows the arena
    large.write('x', new Float32Array(100_000).fill(1));
    for (let run = 0; run < 3; run++) {
      await large.run();
      await program.run();
    }
    expect(read(large)).toEqual(new Float32Array(100_000).fill(4));
    expect(read(program)).toEqual(new Float32Array(100).fill(3.5));
  });

  test('queued runs and writes follow in order', async () => {
    const graph = createGraph();
    const s = state(graph, 's', 0, [64], 's');
    result(graph, 'y', scale(add(s, input(graph, 'x', [64])), 2));
    engine.createState('s', 64);
    const program = load(graph);
    for (let run = 1; run <= 5; run++) {
      engine.writeState('s', 0, new Float32Array(64).fill(run));
      program.write('x', new Float32Array(64).fill(10 * run));
      await program.run({ queue: true });
    }
    expect(read(program)).toEqual(new Float32Array(64).fill(110));
  });

  test('many small writes pass the ring of page-locked memory, and large ones go around it', async () => {
    const sizes = [1, 1000, 200_000, 300_000];
    const programs = sizes.map((size) => load(chain(size, 1)));
    for (let round = 1; round <= 40; round++) {
      for (const [i, program] of programs.entries()) program.write('x', new Float32Array(sizes[i]!).fill(round + i));
    }
    for (const [i, program] of programs.entries()) {
      await program.run({ queue: true });
      expect(read(program)).toEqual(new Float32Array(sizes[i]!).fill(2 * (40 + i)));
    }
  });

  test('profiles each call, and checking names the op of a value that is not finite', async () => {
    const program = load(chain(10, 3));
    program.write('x', new Float32Array(10).fill(1));
    const { calls } = await program.run({ profile: true });
    expect(calls?.map(({ op }) => op)).toEqual(['add', 'add', 'add']);
    program.write(
      'x',
      Float32Array.from({ length: 10 }, (_, i) => (i === 7 ? 3e38 : i)),
    );
    await expect(program.run({ check: true })).rejects.toMatchObject({
      code: 'ERR_TLORA_NON_FINITE',
      message: expect.stringMatching(/^\[add\] output .*\[10\]: element 7 is not finite \(at blocks.3.chain\)/),
    });
    await program.run();
    program.write('x', new Float32Array(10));
    await program.run({ check: true });
    expect(read(program)).toEqual(new Float32Array(10));
  });

  test('for the CPU is refused', () => {
    expect(() => engine.load(encodePlan(makePlan(chain(10, 3), 2)))).toThrow(
      'plan: device: expected one made for cuda, got one for cpu: make it anew with --device cuda',
    );
  });

  test('whose integers are floats is refused', () => {
    const graph = createGraph();
    const ids = input(graph, 'ids', [1, 2], 'i32');
    result(graph, 'y', embedding(ids, weight(graph, 'w', [4, 3], 'bf16')));
    engine.addWeight({ name: 'w', dtype: 'bf16', shape: [4, 3], keep: true }, new Uint16Array(12));
    const plan = makePlan(graph, testTarget(2));
    const planned = plan.inputs.get('ids')!;
    planned.value = { ...planned.value, dtype: 'f32' };
    expect(() => engine.load(encodePlan(plan))).toThrow('[embedding] input 0: expected int32, got float32 (at the top');
  });

  test('is cancelled before a replay, and runs again', async () => {
    const program = load(chain(10, 3));
    program.write('x', new Float32Array(10).fill(1));
    for (let run = 0; run < 3; run++) await program.run();
    const run = program.run();
    engine.cancel();
    await run.catch((error: unknown) => expect(error).toMatchObject({ name: 'AbortError' }));
    await program.run();
    expect(read(program)).toEqual(new Float32Array(10).fill(4));
  });

  test('leaves nothing behind', async () => {
    const free = loadAddon().createEngine({ threads: 1, device: 'cuda:1' });
    const before = free.memory().free;
    for (let round = 0; round < 3; round++) {
      const other = loadAddon().createEngine({ threads: 1, device: 'cuda:1' });
      const program = other.load(encodePlan(makePlan(chain(1000, 3), testTarget(1))));
      for (let run = 0; run < 3; run++) await program.run();
      other.dispose();
    }
    expect(free.memory().free).toBe(before);
    free.dispose();
  });
});

test('no device at all is a reason', () => {
  const script = `process.dlopen(module, ${JSON.stringify(loadAddon().path)});
    console.log(JSON.stringify(module.exports.cuda({ library: process.env.TLORA_CUDA_LIBRARY })));`;
  const env = { ...process.env, TLORA_EMULATED_DEVICES: '0' };
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({
    found: false,
    reason: expect.stringMatching(
      /^no CUDA device can be used: the driver sees no CUDA device .*\(cudaErrorNoDevice: /,
    ),
    lacking: '',
    devices: [],
  });
});
