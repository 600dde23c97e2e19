import { describe, expect, it } from 'vitest';
import { emphasis, type SubjectWindow, silhouettes, windowAt } from '../../lib/pretrain/emphasis.js';

const sizes = { n: 2, side: 8, downscale: 2, channels: 3 };

/** Shares [n, side, side, 3]: 1 at these pixels [picture, y, x]. */
function shares(...pixels: readonly (readonly [number, number, number])[]): Float32Array {
  const out = new Float32Array(sizes.n * sizes.side ** 2 * 3);
  for (const [i, y, x] of pixels) {
    const at = 3 * ((i * sizes.side + y) * sizes.side + x);
    out.fill(1, at, at + 3);
  }
  return out;
}

function window(region: SubjectWindow['region']): SubjectWindow {
  return { first: 1, last: 1, weight: 3, region };
}

/** Of the first channel, as rows of text: the factor of the squared error of each cell. */
function factors(values: Float32Array, picture: number): number[][] {
  const width = sizes.side / sizes.downscale;
  const at = (y: number, x: number): number => values[((picture * width + y) * width + x) * sizes.channels]!;
  return Array.from({ length: width }, (_, y) =>
    Array.from({ length: width }, (_c, x) => Number(((1 + at(y, x)) ** 2).toFixed(4))),
  );
}

describe('emphasis', () => {
  it('raises a cell by the share of its pixels that are the subject', () => {
    const values = emphasis(shares([0, 2, 4], [0, 3, 4], [0, 3, 5]), window('silhouette'), sizes);
    expect(values.length).toBe(2 * 4 * 4 * 3);
    expect(factors(values, 0)).toEqual([
      [1, 1, 1, 1],
      [1, 1, 3.25, 1],
      [1, 1, 1, 1],
      [1, 1, 1, 1],
    ]);
    expect(factors(values, 1).flat()).toEqual(new Array(16).fill(1));
  });

  it('raises all cells that the box around the subject touches, whatever its outline', () => {
    const values = emphasis(shares([0, 3, 1], [0, 4, 4], [1, 7, 7]), window('box'), sizes);
    expect(factors(values, 0)).toEqual([
      [1, 1, 1, 1],
      [4, 4, 4, 1],
      [4, 4, 4, 1],
      [1, 1, 1, 1],
    ]);
    expect(factors(values, 1)).toEqual([
      [1, 1, 1, 1],
      [1, 1, 1, 1],
      [1, 1, 1, 1],
      [1, 1, 1, 4],
    ]);
    expect(values.slice(0, 48).filter((v) => v !== 0).length).toBe(6 * 3);
  });

  it('raises nothing where there is no subject or no window', () => {
    expect(emphasis(shares(), window('box'), sizes).every((v) => v === 0)).toBe(true);
    expect(emphasis(shares().fill(1), undefined, sizes).every((v) => v === 0)).toBe(true);
  });
});

describe('windows', () => {
  it('begin and end with the steps that they name', () => {
    const [early, late] = [
      { ...window('box'), first: 1, last: 4 },
      { ...window('silhouette'), first: 7, last: 9 },
    ];
    expect([1, 4, 5, 6, 7, 9, 10].map((step) => windowAt([early, late], step)?.region)).toEqual([
      'box',
      'box',
      undefined,
      undefined,
      'silhouette',
      'silhouette',
      undefined,
    ]);
  });
});

describe('silhouettes', () => {
  it('hold each pixel of a cell where the cell lies', () => {
    const values = silhouettes(shares([0, 3, 1], [1, 6, 7]), sizes);
    expect(values.length).toBe(2 * 4 * 4 * 4);
    const set = [...values.keys()].filter((at) => values[at] === 1);
    expect(set).toEqual([(1 * 4 + 0) * 4 + 3, (16 + 3 * 4 + 3) * 4 + 1]);
    expect(values.filter((v) => v !== 0).length).toBe(2);
  });
});
