import { expect, it } from 'vitest';
import { classLayout, classLogits, likeliest } from '../../lib/pretrain/classLayout.js';

const layout = classLayout([
  ['shape', 3],
  ['colour', 2],
]);

it('a class layout puts the classes of each question side by side', () => {
  expect(layout).toEqual({
    names: ['shape', 'colour'],
    ranges: { shape: { start: 0, end: 3 }, colour: { start: 3, end: 5 } },
    width: 5,
  });
  expect(classLayout([])).toEqual({ names: [], ranges: {}, width: 0 });
});

it('classLogits finds a question in any row, and likeliest its answer', () => {
  const logits = Float32Array.from([1, 0, 0, 5, 6, 7, 9, 8, 3, 2]);
  expect([...classLogits(logits, layout, 'colour', 0)]).toEqual([5, 6]);
  expect([...classLogits(logits, layout, 'shape', 1)]).toEqual([7, 9, 8]);
  expect(likeliest(classLogits(logits, layout, 'shape', 1))).toBe(1);
  expect(likeliest(Float32Array.from([2, 4, 4]))).toBe(1);
});
