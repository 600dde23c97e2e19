import { expect, test } from 'vitest';
import { createGraph, type DType, input, result } from '../../../lib/graph/graph.js';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '../../../lib/io/halfFloat.js';
import { cast } from '../../../lib/ops/cast.js';
import { runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

const NARROW = {
  f32: (x: Float32Array): Float32Array => x,
  f16: (x: Float32Array): Float32Array => float16ToFloat32(float32ToFloat16(x)),
  bf16: (x: Float32Array): Float32Array => bfloat16ToFloat32(float32ToBfloat16(x)),
};
type Float = keyof typeof NARROW;

// Ties, the ends of float16's range and its subnormals stand first.
const HARD = [
  0,
  -0,
  1 + 2 ** -8,
  1 + 3 * 2 ** -8,
  1 + 2 ** -11,
  1 + 3 * 2 ** -11,
  65280,
  2 ** -24,
  3 * 2 ** -25,
  1e-30,
];

for (const n of [1, 7, 1031, 40_000]) {
  for (const [from, to] of [
    ['f32', 'bf16'],
    ['f32', 'f16'],
    ['bf16', 'f16'],
    ['f16', 'bf16'],
  ] as [Float, Float][]) {
    test(`cast [${n}] from ${from} to ${to} and back to f32`, async () => {
      const random = pseudoRandom(n);
      const given = Float32Array.from({ length: n }, (_, i) => HARD[i] ?? 4 * random.normal());
      const graph = createGraph();
      const x = input(graph, 'x', [n]);
      const there = cast(cast(x, from), to);
      result(graph, 'there', there);
      result(graph, 'back', cast(there, 'f32' satisfies DType));
      const results = await runNative(graph, new Map([[x, Float64Array.from(given)]]), { threads: 2 });
      const expected = NARROW[to](NARROW[from](given));
      expect(results.get('there')).toEqual(expected);
      expect(results.get('back')).toEqual(expected);
    });
  }
}

test('cast makes large values infinite in float16 and keeps NaN', async () => {
  const graph = createGraph();
  const x = input(graph, 'x', [4]);
  result(graph, 'y', cast(cast(x, 'f16'), 'f32'));
  const values = Float64Array.of(65520, -1e9, Number.NaN, Number.NEGATIVE_INFINITY);
  const { POSITIVE_INFINITY: up, NEGATIVE_INFINITY: down } = Number;
  expect((await runNative(graph, new Map([[x, values]]))).get('y')).toEqual(
    Float32Array.of(up, down, Number.NaN, down),
  );
});
