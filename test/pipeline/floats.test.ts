import { expect, it } from 'vitest';
import type { Program, TensorArray } from '../../lib/addon/surface.js';
import { createGraph, input, result } from '../../lib/graph/graph.js';
import { cast } from '../../lib/ops/cast.js';
import { withFloats } from '../../lib/pipeline/floats.js';
import { makePlan } from '../../lib/plan/makePlan.js';

/** A program that keeps what is written and gives some bits as every result. */
function recorded(bits: ArrayBuffer): { program: Program; written: Map<string, TensorArray> } {
  const written = new Map<string, TensorArray>();
  const program: Program = {
    write: (name, values) => void written.set(name, values),
    read: () => bits,
    run: async () => ({ ms: 0 }),
    dispose: () => {},
  };
  return { program, written };
}

it('16-bit inputs and results are float32 to the host', () => {
  const graph = createGraph();
  const [a, b, c] = [input(graph, 'a', [2], 'bf16'), input(graph, 'b', [2], 'f16'), input(graph, 'c', [2])];
  result(graph, 'ya', cast(b, 'bf16'));
  result(graph, 'yb', cast(a, 'f16'));
  result(graph, 'yc', cast(c, 'bf16'));
  const { program, written } = recorded(Uint16Array.of(0x3f80, 0x3c00).buffer);
  const floats = withFloats(program, makePlan(graph, 1));
  for (const name of ['a', 'b', 'c']) floats.write(name, Float32Array.of(1, -2));
  expect(written.get('a')).toEqual(Uint16Array.of(0x3f80, 0xc000));
  expect(written.get('b')).toEqual(Uint16Array.of(0x3c00, 0xc000));
  expect(written.get('c')).toEqual(Float32Array.of(1, -2));
  expect(new Float32Array(floats.read('ya'))[0]).toBe(1);
  expect(new Float32Array(floats.read('yb'))[1]).toBe(1);
});
