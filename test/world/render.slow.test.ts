import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../lib/errors.js';
import { type AttributeRecord, attributeValues, superClassOf } from '../../lib/world/attributes.js';
import { newRender, type Render, render, renderEmpty } from '../../lib/world/render.js';
import { sampleRecord } from '../../lib/world/sample.js';

const records = Array.from({ length: 48 }, (_, seed) => sampleRecord(seed));
const base: AttributeRecord = {
  shape: 'cat',
  superClass: 'creature',
  colour: 'orange',
  background: 'grass',
  position: 'centre',
  size: 'medium',
  style: 'flat',
  accessory: 'none',
  seed: 11,
};

/** Mean absolute difference of two pictures, 0…255. */
function difference(a: Render, b: Render): number {
  return a.pixels.reduce((sum, value, i) => sum + Math.abs(value - b.pixels[i]!), 0) / a.pixels.length;
}

/** Area, and centre of mass in pixels, of the subject. */
function extent({ alpha }: Render): { area: number; x: number; y: number } {
  let [area, x, y] = [0, 0, 0];
  alpha.forEach((value, i) => {
    area += value / 255;
    x += ((i % 64) * value) / 255;
    y += (Math.floor(i / 64) * value) / 255;
  });
  return { area, x: x / area, y: y / area };
}

describe('render', () => {
  it('gives the same bytes for a fixed set of records, ever', () => {
    const hash = createHash('sha256');
    for (const record of records) {
      const { pixels, alpha } = render(record);
      hash.update(pixels).update(alpha);
    }
    expect(hash.digest('hex').slice(0, 16)).toBe('c613e3ea4dcc134d');
  });

  it('does not depend on what was drawn before, and fills a given picture', () => {
    const first = render(records[3]!);
    const out = newRender();
    for (const record of records.slice(0, 20)) render(record, out);
    expect(render(records[3]!, out)).toBe(out);
    expect(out).toEqual(first);
  });

  it('leaves the background alone where the subject is not', () => {
    for (const record of records) {
      const { pixels, alpha } = render(record);
      const empty = renderEmpty(record);
      const bare = [...alpha.keys()].filter((i) => alpha[i] === 0);
      expect(bare.length).toBeGreaterThan(1000);
      const changed = bare.filter((i) => [0, 1, 2].some((c) => pixels[i * 3 + c] !== empty[i * 3 + c]));
      // alpha is rounded: a cover below 1/510 can still turn the last bit, and with it a dithered pixel
      expect(changed.length).toBeLessThanOrEqual(2);
    }
  });

  it('hides the background wholly where the mask is 255', () => {
    for (const record of records.filter(({ accessory }) => accessory !== 'frame')) {
      const other = render({ ...record, background: record.background === 'night' ? 'snow' : 'night' });
      const { pixels, alpha } = render(record);
      expect(other.alpha).toEqual(alpha);
      const solid = [...alpha.keys()].filter((i) => alpha[i] === 255);
      expect(solid.length).toBeGreaterThan(50);
      const most = record.style === 'dither' ? 85 : 1;
      const differs = (at: number): boolean => Math.abs(pixels[at]! - other.pixels[at]!) > most;
      expect(solid.filter((i) => differs(i * 3) || differs(i * 3 + 1) || differs(i * 3 + 2))).toEqual([]);
    }
  });

  it('changes with every value of every attribute, and with the seed', () => {
    for (const attribute of ['shape', 'colour', 'background', 'position', 'size', 'style', 'accessory'] as const) {
      const pictures = attributeValues[attribute].map((value) => render({ ...base, [attribute]: value }));
      pictures.forEach((one, i) => {
        for (const other of pictures.slice(i + 1)) expect(difference(one, other)).toBeGreaterThan(1);
      });
    }
    expect(difference(render(base), render({ ...base, seed: 12 }))).toBeGreaterThan(1);
  });

  it('draws the subject whole, with a bare border', () => {
    const border = Array.from({ length: 64 }, (_, k) => [k, 63 * 64 + k, k * 64, k * 64 + 63]).flat();
    for (const record of records) {
      const { alpha } = render(record);
      expect(border.filter((pixel) => alpha[pixel] !== 0)).toEqual([]);
    }
  });

  it('puts the subject where the position says', () => {
    for (const record of records.slice(0, 16)) {
      const at = attributeValues.position.map((position) => extent(render({ ...record, position })));
      for (let k = 0; k < 3; k++) {
        for (const step of [0, 1]) {
          expect(at[3 * k + step + 1]!.x - at[3 * k + step]!.x).toBeGreaterThan(5);
          expect(at[3 * (step + 1) + k]!.y - at[3 * step + k]!.y).toBeGreaterThan(4);
        }
      }
    }
  });

  it('covers more the larger the size', () => {
    for (const record of records) {
      const [small, medium, large] = attributeValues.size.map((size) => extent(render({ ...record, size })).area);
      expect(medium! / small!).toBeGreaterThan(1.5);
      expect(large! / medium!).toBeGreaterThan(1.5);
    }
  });

  it('has soft edges', () => {
    const { alpha } = render(base);
    const between = alpha.filter((value) => value > 20 && value < 235).length;
    expect(between).toBeGreaterThan(30);
  });

  it('names what it cannot draw', () => {
    expect(() => render({ ...base, style: 'cubist' as 'flat' })).toThrow(
      new ConfigError('[render] style: expected one of flat, outline, dither, sketch, inverted, got cubist'),
    );
    expect(() => render({ ...base, shape: 'yak' as 'cat' })).toThrow('shape');
    expect(() => render({ ...base, colour: 'mauve' as 'red' })).toThrow('colour');
    expect(() => render({ ...base, seed: -1 })).toThrow('seed');
    expect(() => render(base, { pixels: new Uint8Array(3), alpha: new Uint8Array(1) })).toThrow('out');
  });
});

describe('superClassOf', () => {
  it('splits the 24 classes in halves', () => {
    expect(attributeValues.shape.filter((shape) => superClassOf(shape) === 'creature')).toHaveLength(12);
    expect(attributeValues.shape).toHaveLength(24);
  });
});
