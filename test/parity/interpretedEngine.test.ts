import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { WeightSource } from '../../lib/addon/surface.js';
import { createGraph, type Graph, input, result, state, weight } from '../../lib/graph/graph.js';
import { accumulate } from '../../lib/ops/accumulate.js';
import { cast } from '../../lib/ops/cast.js';
import { conv2d } from '../../lib/ops/conv2d.js';
import { linear } from '../../lib/ops/linear.js';
import { scale } from '../../lib/ops/scale.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { fromHalf, roundTo, toHalf } from '../support/halfFloat.js';
import { interpretedEngine } from '../support/interpretedEngine.js';

const folder = mkdtempSync(join(tmpdir(), 'tlora-interpreted-'));
afterAll(() => rmSync(folder, { recursive: true }));

const encoded = (graph: Graph): Uint8Array => encodePlan(makePlan(graph, 1));
const third = 1 / 3;

/** A file of float16 values and what an engine is told of it. */
function stored(name: string, shape: number[], values: number[]): WeightSource {
  const path = join(folder, name);
  writeFileSync(path, toHalf(values, 'f16'));
  return { name, path, offset: 0, dtype: 'f16', shape };
}

describe('an interpreted engine', () => {
  it('rounds what every op gives to the type of its value, and hands 16-bit values over as bits', async () => {
    const graph = createGraph();
    const x = input(graph, 'x', [2], 'f32');
    result(graph, 'y', scale(cast(x, 'bf16'), third));
    const program = interpretedEngine().load(encoded(graph));
    program.write('x', Float32Array.of(1.01, -5));
    await program.run();
    const [half] = [roundTo(Float64Array.of(1.01, -5), 'bf16')];
    const expected = roundTo(
      half.map((v) => v * third),
      'bf16',
    );
    expect([...fromHalf(new Uint16Array(program.read('y')), 'bf16')]).toEqual([...expected]);
  });

  it('updates state in place, also where nobody reads the output', async () => {
    const graph = createGraph();
    const sum = state(graph, 'sum', 1, [2], 'sum');
    accumulate(sum, input(graph, 'g', [2]), input(graph, 'coefficients', [2]));
    const engine = interpretedEngine();
    engine.createState('sum', 4);
    engine.writeState('sum', 0, Float32Array.of(9, 10, 20, 9));
    const program = engine.load(encoded(graph));
    program.write('g', Float32Array.of(1, 2));
    program.write('coefficients', Float32Array.of(1, 0.5));
    await program.run();
    expect([...engine.readState('sum', 0, 4)]).toEqual([9, 10.5, 21, 9]);
  });

  it('reads weights as files have them: rows in several places, filters in the order of checkpoints', async () => {
    const graph = createGraph();
    const rows = weight(graph, 'w', [2, 2], 'f16');
    const filters = weight(graph, 'k', [1, 1, 2, 2], 'f16'); // [o, h, w, i]
    result(graph, 'y', linear(input(graph, 'x', [1, 2]), rows, null));
    result(graph, 'z', conv2d(input(graph, 'p', [1, 1, 2, 2]), filters, null));
    const engine = interpretedEngine();
    const below = stored('below', [1, 2], [3, 4]);
    await engine.loadWeights([
      { ...stored('w', [2, 2], [1, 2]), below: [{ path: below.path, offset: 0, rows: 1 }], matrix: true },
      { ...stored('k', [1, 2, 1, 2], [1, 2, 3, 4]), layout: 'oihw', matrix: true },
    ]);
    const program = engine.load(encoded(graph));
    program.write('x', Float32Array.of(1, 10));
    program.write('p', Float32Array.of(1, 10, 100, 1000));
    await program.run();
    expect([...new Float32Array(program.read('y'))]).toEqual([21, 43]);
    expect([...new Float32Array(program.read('z'))]).toEqual([1 + 30 + 200 + 4000]);
    expect(engine.releaseWeights('w')).toBe(1);
    await expect(program.run()).rejects.toThrow("'w' has no values");
  });
});
