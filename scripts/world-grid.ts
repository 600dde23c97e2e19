// npx tsx scripts/world-grid.ts SHEET OUT.png [--zoom N] [--seed N]
// A contact sheet of the mini model's world in 256 colours, for people to look at. Sheets: see the table below.
// docs/images/world.png is `overview`.
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { type AttributeRecord, attributeValues, shapes, superClassOf } from '../lib/world/attributes.js';
import { concept, conceptReferenceViews, conceptTrainingView } from '../lib/world/concepts.js';
import { render, renderSprite } from '../lib/world/render.js';
import { sampleRecord } from '../lib/world/sample.js';
import { spriteFrom } from '../lib/world/sprites.js';

const SIDE = 64;
const GAP = 2;
type Picture = Uint8Array;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { zoom: { type: 'string', default: '2' }, seed: { type: 'string', default: '1' } },
});
const seed = Number(values.seed);

function picture(change: Partial<AttributeRecord>): Picture {
  const plain = {
    shape: 'cat',
    colour: 'orange',
    background: 'plain',
    position: 'centre',
    size: 'large',
    style: 'flat',
    accessory: 'none',
    seed,
  } as const;
  const record = { ...plain, ...change };
  return render({ ...record, superClass: superClassOf(record.shape) }).pixels;
}

const { colour, background, position, size, style, accessory } = attributeValues;
const at = <T>(list: readonly T[], i: number): T => list[i % list.length]!;

/** Rows of pictures. */
const sheets: Readonly<Record<string, () => Picture[][]>> = {
  shapes: () =>
    [0, 1].flatMap((half) =>
      [0, 1, 2, 3].map((k) =>
        shapes.slice(12 * half, 12 * half + 12).map((shape, i) =>
          picture({
            shape,
            colour: at(colour, i * 3 + k * 7),
            size: k === 3 ? 'medium' : 'large',
            background: at(background, k < 2 ? 0 : i + k),
            seed: seed + 50 * k + i,
          }),
        ),
      ),
    ),
  backgrounds: () =>
    [0, 1, 2, 3].map((k) =>
      background.map((value, i) =>
        picture({
          background: value,
          shape: at(shapes, i + 7 * k),
          colour: at(colour, i * 3 + k),
          size: at(size, k),
          seed: seed + k,
        }),
      ),
    ),
  styles: () =>
    style.flatMap((value) => [
      background.map((bg, i) =>
        picture({ style: value, background: bg, shape: at(shapes, i * 5), colour: at(colour, i), seed: seed + i }),
      ),
    ]),
  accessories: () =>
    accessory.flatMap((value) =>
      [0, 1].map((half) =>
        shapes.slice(12 * half, 12 * half + 12).map((shape, i) =>
          picture({
            accessory: value,
            shape,
            colour: at(colour, i),
            size: half ? 'medium' : 'large',
            seed: seed + i,
          }),
        ),
      ),
    ),
  colours: () =>
    style.map((value) =>
      colour.map((c, i) => picture({ colour: c, style: value, shape: at(shapes, i * 7 + 3), seed: seed + i })),
    ),
  places: () =>
    size.map((value) =>
      position.map((place, i) =>
        picture({
          size: value,
          position: place,
          shape: at(shapes, i * 5 + 2),
          background: at(background, i + 1),
          colour: at(colour, i),
          seed: seed + i,
        }),
      ),
    ),
  sprites: () =>
    Array.from({ length: 12 }, (_, row) =>
      Array.from(
        { length: 10 },
        (_, i) =>
          renderSprite(spriteFrom(seed + (row % 6) * 10 + i, 0x2000, row < 6 ? 'creature' : 'object'), {
            background: 'plain',
            position: 'centre',
            size: 'large',
            style: 'flat',
            accessory: 'none',
            seed: row * 10 + i,
          }).pixels,
      ),
    ),
  concepts: () =>
    [0, 1, 2].map((row) => Array.from({ length: 10 }, (_, i) => conceptTrainingView(row * 10 + i).picture.pixels)),
  references: () => [0, 5, 14, 21].map((index) => conceptReferenceViews(index, 10).map((view) => view.picture.pixels)),
  conceptStyles: () =>
    [1, 16].flatMap((index) => [
      style.map(
        (value, i) =>
          renderSprite(concept(index), {
            ...conceptTrainingView(index).scene,
            style: value,
            accessory: at(accessory, i + 1),
          }).pixels,
      ),
    ]),
  // the page's picture: shapes, then sampled pictures, then concepts
  overview: () => [
    shapes.slice(0, 12).map((shape, i) => picture({ shape, colour: at(colour, i * 3), seed: seed + i })),
    shapes.slice(12).map((shape, i) => picture({ shape, colour: at(colour, i * 7 + 4), seed: seed + i })),
    ...[0, 1, 2].map((row) => Array.from({ length: 12 }, (_, i) => render(sampleRecord(seed + 100 * row + i)).pixels)),
    Array.from({ length: 12 }, (_, i) => conceptTrainingView(i * 2).picture.pixels),
  ],
};

/** Pictures in rows on white, each pixel `zoom` wide, as RGB with its size. */
function assemble(rows: Picture[][], zoom: number): { pixels: Uint8Array; width: number; height: number } {
  const step = SIDE * zoom + GAP;
  const width = Math.max(...rows.map((row) => row.length)) * step + GAP;
  const height = rows.length * step + GAP;
  const pixels = new Uint8Array(width * height * 3).fill(255);
  for (const [r, row] of rows.entries()) {
    for (const [c, one] of row.entries()) {
      for (let y = 0; y < SIDE * zoom; y++) {
        for (let x = 0; x < SIDE * zoom; x++) {
          const from = (Math.floor(y / zoom) * SIDE + Math.floor(x / zoom)) * 3;
          pixels.set(one.subarray(from, from + 3), ((GAP + r * step + y) * width + GAP + c * step + x) * 3);
        }
      }
    }
  }
  return { pixels, width, height };
}

const [name = '', path] = positionals;
const sheet = sheets[name];
if (sheet === undefined || path === undefined) {
  process.stderr.write(
    `usage: npx tsx scripts/world-grid.ts ${Object.keys(sheets).join('|')} OUT.png [--zoom N] [--seed N]\n`,
  );
  process.exitCode = 2;
} else {
  const { pixels, width, height } = assemble(sheet(), Number(values.zoom));
  const picture = sharp(pixels, { raw: { width, height, channels: 3 } });
  await picture.png({ palette: true, colours: 256, dither: 0.6, compressionLevel: 9, effort: 10 }).toFile(path);
}
