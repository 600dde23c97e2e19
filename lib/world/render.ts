import { ConfigError } from '../errors.js';
import { type Draw, uniformDraws } from '../random/hash.js';
import { paintFrame, wornParts } from './accessories.js';
import {
  type AttributeRecord,
  attributeValues,
  type Colour,
  positions,
  type Scene,
  type Size,
  type Style,
  styles,
} from './attributes.js';
import { paintBackground } from './backgrounds.js';
import { type Canvas, hsl, invertLightness, mix, PIXELS, type Rgb, SIDE } from './canvas.js';
import { creatureBuilders } from './creatures.js';
import { objectBuilders } from './objects.js';
import { type Pose, paintParts } from './paint.js';
import { colourOf, type Look, lookOf, type Paints, paintsAround } from './palette.js';
import { type Builder, boundsOf, type Design, type Part } from './part.js';
import { randomPattern } from './pattern.js';
import { styleBackground, styleWhole } from './styles.js';

/** A finished picture. */
export interface Render {
  /** RGB, [64, 64, 3] */
  readonly pixels: Uint8Array;
  /** How much of each pixel is the subject or what it wears (not the frame), 0…255, [64, 64] */
  readonly alpha: Uint8Array;
}

/** Something to draw: a design with its paints, in a colour with a name if one is asked for. */
export interface Subject {
  readonly design: Design;
  readonly paints: Paints;
}

/** What each draw is for; streams of one seed are independent. */
const stream = { design: 1, pose: 2, colour: 3, background: 4, frame: 5, coat: 6 } as const;

/** Half the sprite's unit square, and how far from the middle its cell is at most, pixels. */
const extents: Readonly<Record<Size, readonly [number, number]>> = {
  small: [9.5, 20],
  medium: [13.5, 16.5],
  large: [19, 12],
};
/** Pixels kept free at each side. A frame may hide the outermost part of the subject. */
const BORDER = 3.9;
const FRAME_BORDER = 4.5;
/** Share of the pictures of a class with a patterned coat. */
const COAT_SHARE = 0.3;
/** Largest tilt, radians. */
const TURN = 0.11;
/** How far the subject is off the middle of its cell at most, pixels. */
const SWAY = 1.2;
/** Neighbouring cells are at least this far apart, pixels, or the subject gets smaller. */
const LEAST_STEP = 7;

const builders: Readonly<Record<string, Builder>> = { ...creatureBuilders, ...objectBuilders };
const canvas: Canvas = { rgb: new Float32Array(PIXELS * 3), alpha: new Float32Array(PIXELS) };

function checkScene(scene: SpriteScene): void {
  for (const name of ['background', 'position', 'size', 'style', 'accessory', 'colour'] as const) {
    const values: readonly (string | undefined)[] = attributeValues[name];
    if (!values.includes(scene[name]) && !(name === 'colour' && scene.colour === undefined))
      throw new ConfigError(`[render] ${name}: expected one of ${values.join(', ')}, got ${scene[name]}`);
  }
  if (!Number.isSafeInteger(scene.seed) || scene.seed < 0)
    throw new ConfigError(`[render] seed: expected an integer from 0 to ${Number.MAX_SAFE_INTEGER}, got ${scene.seed}`);
}

/** Sprites are scaled to touch their unit square; then their box with all they wear is put into the grid, whole. */
function poseOf(scene: Scene, design: Design, worn: readonly Part[], turnLimit: number, mayFlip: boolean): Pose {
  const draw = uniformDraws(scene.seed, stream.pose);
  const [half, reach] = extents[scene.size];
  const turn = (draw() - 0.5) * 2 * turnLimit;
  const flip = mayFlip && draw() < 0.5 ? -1 : 1;
  const own = boundsOf(design.parts);
  const all = boundsOf([...design.parts, ...worn], turn, flip);
  const free = SIDE - 2 * (scene.accessory === 'frame' ? FRAME_BORDER : BORDER);
  const longest = Math.max(all.right - all.left, all.bottom - all.top);
  const wanted = (half * (0.95 + 0.1 * draw())) / Math.max(-own.left, own.right, -own.top, own.bottom);
  const scale = Math.min(wanted, (free - 2 * LEAST_STEP) / longest);
  const cell = positions.indexOf(scene.position);
  const place = (step: number, from: number, to: number): number => {
    const most = Math.min(reach, (free - scale * (to - from)) / 2);
    return SIDE / 2 + step * most + (draw() - 0.5) * 2 * SWAY - (scale * (from + to)) / 2;
  };
  const x = place((cell % 3) - 1, all.left, all.right);
  const y = place(Math.floor(cell / 3) - 1, all.top, all.bottom);
  return { x, y, scale, turn, flip, shift: Math.floor(draw() * SIDE) };
}

function backdrop(scene: Scene): void {
  paintBackground(scene.background, canvas.rgb, uniformDraws(scene.seed, stream.background));
  styleBackground(scene.style, canvas.rgb);
  canvas.alpha.fill(0);
}

function frame(scene: Scene): void {
  if (scene.accessory !== 'frame') return;
  const draw: Draw = uniformDraws(scene.seed, stream.frame);
  const wood = hsl(0.105 + (draw() - 0.5) * 0.03, 0.62, 0.5 + 0.06 * draw());
  paintFrame(canvas, scene.style === 'inverted' ? invertLightness(wood) : wood);
}

function develop(scene: Scene, out: Render): Render {
  styleWhole(scene.style, canvas.rgb);
  // clamped arrays round to the nearest byte
  const pixels = new Uint8ClampedArray(out.pixels.buffer, out.pixels.byteOffset, out.pixels.length);
  const alpha = new Uint8ClampedArray(out.alpha.buffer, out.alpha.byteOffset, out.alpha.length);
  for (let i = 0; i < pixels.length; i++) pixels[i] = canvas.rgb[i]! * 255;
  for (let i = 0; i < alpha.length; i++) alpha[i] = canvas.alpha[i]! * 255;
  return out;
}

function checkOut(out: Render): void {
  if (out.pixels.length !== PIXELS * 3 || out.alpha.length !== PIXELS)
    throw new ConfigError(
      `[render] out: expected ${PIXELS * 3} pixels and ${PIXELS} alpha values, got ${out.pixels.length} and ${out.alpha.length}`,
    );
}

/** An empty picture for `render` to fill again and again. */
export function newRender(): Render {
  return { pixels: new Uint8Array(PIXELS * 3), alpha: new Uint8Array(PIXELS) };
}

function draw(subject: Subject, scene: Scene, turnLimit: number, mayFlip: boolean, out: Render): Render {
  checkOut(out);
  const worn = wornParts(scene.accessory, subject.design);
  const pose = poseOf(scene, subject.design, worn, turnLimit, mayFlip);
  backdrop(scene);
  paintParts(canvas, subject.design.parts, pose, lookOf(scene.style, subject.paints));
  if (worn.length > 0) paintParts(canvas, worn, pose, wornLooks[scene.style]);
  frame(scene);
  return develop(scene, out);
}

/** Accessories keep their own colours whatever the subject's are. */
const wornPaints: Paints = { ...paintsAround([0.2, 0.18, 0.25]), rose: [0.9, 0.16, 0.36], gold: [1, 0.84, 0.22] };

const wornLooks = Object.fromEntries(styles.map((style) => [style, lookOf(style, wornPaints)])) as Record<Style, Look>;

/** Some of a class have a coat: a pattern in a lighter or darker tone of their colour. */
function coated(design: Design, main: Rgb, draw: Draw): Subject {
  if (draw() >= COAT_SHARE) return { design, paints: paintsAround(main) };
  const second: Rgb = draw() < 0.5 ? mix(main, [1, 1, 1], 0.3) : mix(main, [0.1, 0.08, 0.12], 0.22);
  const pattern = randomPattern(draw, ['stripes', 'spots', 'patches']);
  const parts = design.parts.map((part) => (part.paint === 'main' ? { ...part, pattern } : part));
  return { design: { ...design, parts }, paints: paintsAround(main, second) };
}

/**
 * The picture of a record: same record, same pixels.
 * @param out filled and returned if given, so that a loop need not allocate
 * @throws ConfigError for an unknown value, a seed that is not an integer from 0 to 2⁵³ − 1, or an `out` of another size
 */
export function render(record: AttributeRecord, out: Render = newRender()): Render {
  checkScene(record);
  const builder = builders[record.shape];
  if (builder === undefined) throw new ConfigError(`[render] shape: got ${record.shape}, which is no shape class`);
  const design = builder(uniformDraws(record.seed, stream.design));
  const main = colourOf(record.colour, uniformDraws(record.seed, stream.colour));
  return draw(coated(design, main, uniformDraws(record.seed, stream.coat)), record, TURN, true, out);
}

/** A scene, and the named colour of the sprite's main paint if it is not to keep its own. */
export interface SpriteScene extends Scene {
  readonly colour?: Colour;
}

/**
 * The picture of a sprite in a scene. The seed varies place, tilt and background, never the sprite: it is one thing.
 * @throws ConfigError as `render` does
 */
export function renderSprite(sprite: Subject, scene: SpriteScene, out: Render = newRender()): Render {
  checkScene(scene);
  if (scene.colour === undefined) return draw(sprite, scene, TURN, false, out);
  const main = colourOf(scene.colour, uniformDraws(scene.seed, stream.colour));
  return draw(
    { ...sprite, paints: paintsAround(main, sprite.paints.second, sprite.paints.third) },
    scene,
    TURN,
    false,
    out,
  );
}

/** The background and frame of a scene without its subject, RGB, [64, 64, 3]. */
export function renderEmpty(scene: Scene): Uint8Array {
  checkScene(scene);
  backdrop(scene);
  frame(scene);
  return develop(scene, newRender()).pixels;
}
