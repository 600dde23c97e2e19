import { describe, expect, it } from 'vitest';
import { flatLayout } from '../../lib/params/flatLayout.js';

describe('flatLayout', () => {
  it('keeps the order and aligns every entry to 16 floats', () => {
    const { entries, total } = flatLayout([
      { name: 'up', shape: [5, 7] },
      { name: 'lambda', shape: [1] },
      { name: 'down', shape: [4, 4] },
      { name: 'last', shape: [17] },
    ]);
    expect([...entries]).toEqual([
      ['up', { offset: 0, shape: [5, 7], count: 35 }],
      ['lambda', { offset: 48, shape: [1], count: 1 }],
      ['down', { offset: 64, shape: [4, 4], count: 16 }],
      ['last', { offset: 80, shape: [17], count: 17 }],
    ]);
    expect(total).toBe(112);
  });

  it('is empty without entries', () => {
    expect(flatLayout([])).toEqual({ entries: new Map(), total: 0 });
  });

  it('names an entry that comes twice', () => {
    const twice = [
      { name: 'x', shape: [1] },
      { name: 'x', shape: [1] },
    ];
    expect(() => flatLayout(twice)).toThrow("'x': expected one entry, got two");
  });
});
