import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine, Program } from '../../lib/addon/surface.js';
import { createGraph, type Graph, input, result, state, weight } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { mse } from '../../lib/ops/mse.js';
import { scale } from '../../lib/ops/scale.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { chain } from '../support/chainGraph.js';

let engine: Engine;
beforeEach(() => {
  engine = loadAddon().createEngine({ threads: 2 });
});
afterEach(() => engine.dispose());

const load = (graph: Graph, threads = 2): Program => engine.load(encodePlan(makePlan(graph, threads)));
const read = (program: Program, name = 'y'): Float32Array => new Float32Array(program.read(name));

async function failure(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  return promise.then(
    () => expect.fail('expected a rejection'),
    (error: unknown) => error as Error,
  );
}

/** Numbers of the processors that a thread may use, from a line such as `Cpus_allowed_list: 0-3,8`. */
function processors(statusFile: string): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync(statusFile, 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

describe('running', () => {
  test('programs share an arena that grows, and keep their own inputs and results', async () => {
    const small = load(chain(10, 3));
    small.write('x', new Float32Array(10).fill(1));
    await small.run();
    const large = load(chain(100_000, 3));
    large.write('x', new Float32Array(100_000).fill(2));
    await large.run();
    await small.run();
    expect(read(small)).toEqual(new Float32Array(10).fill(4));
    expect(read(large)).toEqual(new Float32Array(100_000).fill(8));
  });

  test.runIf(process.platform === 'linux')(
    'threads that sleep between runs are kept off one processor at most',
    async () => {
      const program = load(chain(100_000, 3));
      program.write('x', new Float32Array(100_000).fill(2));
      for (let i = 0; i < 20; i++) {
        await program.run();
        await pause(2);
      }
      expect(read(program)).toEqual(new Float32Array(100_000).fill(8));
      const own = processors('/proc/self/status');
      const missing = readdirSync('/proc/self/task').map((task) => {
        const have = new Set(processors(`/proc/self/task/${task}/status`));
        return own.filter((processor) => !have.has(processor)).length;
      });
      expect(Math.max(...missing)).toBeLessThanOrEqual(1);
    },
  );

  test('the event loop turns during a run', async () => {
    const program = load(chain(1 << 20, 300));
    program.write('x', new Float32Array(1 << 20));
    let running = true;
    let turns = 0;
    const count = (): void => {
      turns++;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    await program.run();
    running = false;
    expect(turns).toBeGreaterThan(10);
  });

  test('cancel rejects with AbortError, and the next run is whole', async () => {
    const program = load(chain(1 << 20, 2000));
    program.write('x', new Float32Array(1 << 20).fill(1));
    const run = program.run();
    engine.cancel();
    const error = await failure(run);
    expect(error.name).toBe('AbortError');
    expect(error.code).toBe('ABORT_ERR');
    const short = load(chain(4, 3));
    short.write('x', new Float32Array(4).fill(1));
    await short.run();
    expect(read(short)).toEqual(new Float32Array(4).fill(4));
  });

  test('a cancel without a run does not touch the next one', async () => {
    const program = load(chain(4, 1));
    program.write('x', new Float32Array(4).fill(1));
    engine.cancel();
    await program.run();
    expect(read(program)).toEqual(new Float32Array(4).fill(2));
  });

  test('everything but cancel, memory and dispose is refused while a run is under way', async () => {
    const program = load(chain(1 << 20, 200));
    const x = new Float32Array(1 << 20);
    program.write('x', x);
    const run = program.run();
    const busy = expect.objectContaining({ code: 'ERR_TLORA_BUSY' });
    expect(() => program.run()).toThrow(busy);
    expect(() => program.write('x', x)).toThrow(busy);
    expect(() => program.read('y')).toThrow(busy);
    expect(() => engine.createState('s', 1)).toThrow(busy);
    expect(() => engine.releaseWeights('')).toThrow(busy);
    expect(engine.memory().io).toBeGreaterThan(0);
    await run;
    expect(read(program).every((v) => v === 0)).toBe(true);
  });

  test('a profile names every call', async () => {
    const program = load(chain(16, 3));
    program.write('x', new Float32Array(16));
    const { ms, calls } = await program.run({ profile: true });
    expect(calls!.map(({ op, path }) => `${op} ${path}`)).toEqual(Array(3).fill('add blocks.3.chain'));
    expect(calls!.reduce((sum, call) => sum + call.ms, 0)).toBeLessThanOrEqual(ms);
  });

  test('the checking mode names op, path and element of the first value that is not finite', async () => {
    const program = load(chain(100, 3));
    const x = new Float32Array(100).fill(1);
    x[70] = 3e38;
    program.write('x', x);
    await program.run();
    const error = await failure(program.run({ check: true }));
    expect(error.code).toBe('ERR_TLORA_NON_FINITE');
    expect(error.message).toContain('[add] output y[100]: element 70 is not finite (at blocks.3.chain)');
  });

  test('the guard mode finds a kernel that writes past its scratch memory', async () => {
    const graph = createGraph();
    result(graph, 'loss', mse(input(graph, 'x', [2, 3]), input(graph, 'target', [2, 3])).loss);
    const plan = makePlan(graph, 2);
    plan.calls[0] = { ...plan.calls[0]!, scratchBytes: 0 }; // the kernel keeps its sums there
    const program = engine.load(encodePlan(plan));
    for (const name of ['x', 'target']) program.write(name, new Float32Array(6));
    const error = await failure(program.run({ guard: true }));
    expect(error.message).toMatch(/^\[mse\] wrote outside its outputs and scratch: byte \d+ of the arena/);
  });
});

describe('state buffers', () => {
  test('are zero, shared by programs, and written in place', async () => {
    const graph = createGraph();
    const p = state(graph, 'params', 4, [3], 'p');
    const doubled = scale(p, 2);
    doubled.home = { buffer: 'doubled', offset: 0 };
    result(graph, 'y', doubled);
    engine.createState('params', 8);
    engine.createState('doubled', 3);
    expect(engine.readState('params', 0, 8)).toEqual(new Float32Array(8));
    engine.writeState('params', 4, Float32Array.of(1, 2, 3));
    const program = load(graph);
    await program.run();
    expect(engine.readState('doubled', 0, 3)).toEqual(Float32Array.of(2, 4, 6));
    expect(read(program)).toEqual(Float32Array.of(2, 4, 6));
  });

  test('are checked: names, ranges, sizes', () => {
    engine.createState('a', 4);
    expect(() => engine.createState('a', 4)).toThrow("state buffer 'a' is already there");
    expect(() => engine.readState('b', 0, 1)).toThrow("there is no state buffer 'b'");
    expect(() => engine.writeState('a', 2, new Float32Array(3))).toThrow('3 values at 2, but it has 4');
    expect(() => engine.createState('c', -1)).toThrow(TypeError);
    const graph = createGraph();
    result(graph, 'y', scale(state(graph, 'a', 2, [3], 'p'), 2));
    expect(() => load(graph)).toThrow("state buffer 'a': p needs 12 bytes at 8, but it has 16");
    engine.releaseState('a');
    expect(() => load(graph)).toThrow("there is no state buffer 'a'");
  });

  test('more memory than there is: an error with the bytes needed', () => {
    const floats = 2 ** 39;
    expect(() => engine.createState('huge', floats)).toThrow(
      expect.objectContaining({
        code: 'ERR_TLORA_OUT_OF_MEMORY',
        message: expect.stringContaining(`state buffer huge: ${floats * 4} bytes needed`),
      }),
    );
    expect(engine.memory().state).toBe(0);
  });
});

describe('errors', () => {
  test('inputs and results: wrong name, size or array type', () => {
    const program = load(chain(4, 1));
    expect(() => program.write('z', new Float32Array(4))).toThrow("no input 'z' (it has: x)");
    expect(() => program.write('x', new Float32Array(3))).toThrow("input 'x' [4]: expected 16 bytes, got 12");
    expect(() => program.write('x', new Int32Array(4))).toThrow('expected a Float32Array for f32');
    expect(() => program.read('x')).toThrow("no result 'x' (it has: y)");
  });

  test('a weight that is not loaded, or has another shape', () => {
    const graph = createGraph();
    result(graph, 'y', add(input(graph, 'x', [4]), weight(graph, 'unet/b', [4], 'f32')));
    expect(() => load(graph)).toThrow("weight 'unet/b' is not loaded");
    engine.addWeight({ name: 'unet/b', dtype: 'f32', shape: [2, 2] }, new Float32Array(4));
    expect(() => load(graph)).toThrow("weight 'unet/b': expected [4], got [2,2]");
  });

  test('an op without a kernel, named with its path', () => {
    const graph = chain(4, 1);
    const plan = makePlan(graph, 2);
    const call = plan.calls[0]!;
    plan.calls[0] = { ...call, node: { ...call.node, op: { ...call.node.op, name: 'subtract' } } };
    expect(() => engine.load(encodePlan(plan))).toThrow(
      '[subtract] the cpu backend has no such kernel (at blocks.3.chain)',
    );
  });

  test('a plan for fewer threads than the engine has', () => {
    expect(() => load(chain(4, 1), 1)).toThrow('the plan has scratch memory for 1 threads, the engine has 2');
  });

  test('threads out of range', () => {
    expect(() => loadAddon().createEngine({ threads: 0 })).toThrow(RangeError);
    expect(() => loadAddon().createEngine({ threads: 1.5 })).toThrow(TypeError);
  });
});

describe('disposal', () => {
  test('frees everything, twice is harmless, and later use is a DisposedError', () => {
    engine.createState('s', 1000);
    const program = load(chain(1000, 2));
    engine.dispose();
    engine.dispose();
    const { weights, state, arena, io } = engine.memory();
    expect([weights, state, arena, io]).toEqual([0, 0, 0, 0]);
    const disposed = expect.objectContaining({ code: 'ERR_TLORA_DISPOSED' });
    expect(() => program.run()).toThrow(disposed);
    expect(() => engine.createState('t', 1)).toThrow(disposed);
  });

  test('a program gives back its memory; while it runs, at the end of the run', async () => {
    const before = engine.memory().io;
    const program = load(chain(1 << 20, 50));
    program.write('x', new Float32Array(1 << 20));
    const run = program.run();
    program.dispose();
    expect(() => program.read('y')).toThrow(expect.objectContaining({ code: 'ERR_TLORA_BUSY' }));
    await run;
    expect(() => program.read('y')).toThrow(expect.objectContaining({ code: 'ERR_TLORA_DISPOSED' }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(engine.memory().io).toBe(before);
  });

  test('disposing the engine during a run cancels it', async () => {
    const program = load(chain(1 << 20, 2000));
    program.write('x', new Float32Array(1 << 20));
    const run = program.run();
    engine.dispose();
    expect((await failure(run)).name).toBe('AbortError');
    expect(engine.memory().io).toBe(0);
  });
});
