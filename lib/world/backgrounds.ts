import { type Draw, pick } from '../random/hash.js';
import type { Background } from './attributes.js';
import { blend, clouds, grain, hsl, mix, PIXELS, type Rgb, ripples, SIDE } from './canvas.js';

type Paint = (rgb: Float32Array, draw: Draw) => void;

const cover = (d: number): number => (d >= 0.5 ? 0 : d <= -0.5 ? 1 : 0.5 - d);
const fraction = (x: number): number => x - Math.floor(x);
const vary = (draw: Draw, amount: number): number => (draw() - 0.5) * 2 * amount;

/** A colour of one hue family, slightly varied. */
function tone(draw: Draw, hue: number, saturation: number, lightness: number): Rgb {
  return hsl(hue + vary(draw, 0.015), saturation + vary(draw, 0.05), lightness + vary(draw, 0.025));
}

/** From `above` at row `from` to `below` at row `to`. */
function fade(rgb: Float32Array, above: Rgb, below: Rgb, from = 0, to = SIDE): void {
  for (let y = from; y < to; y++) {
    const [r, g, b] = mix(above, below, (y - from) / Math.max(1, to - from - 1));
    for (let pixel = y * SIDE; pixel < (y + 1) * SIDE; pixel++) blend(rgb, pixel, r, g, b, 1);
  }
}

function disc(rgb: Float32Array, cx: number, cy: number, radius: number, [r, g, b]: Rgb, share = 1): void {
  for (let y = Math.max(0, Math.floor(cy - radius - 1)); y < Math.min(SIDE, cy + radius + 1); y++) {
    for (let x = Math.max(0, Math.floor(cx - radius - 1)); x < Math.min(SIDE, cx + radius + 1); x++) {
      const [dx, dy] = [x + 0.5 - cx, y + 0.5 - cy];
      const c = cover(Math.sqrt(dx * dx + dy * dy) - radius) * share;
      if (c > 0) blend(rgb, y * SIDE + x, r, g, b, c);
    }
  }
}

/** Fills all below a wavy line: height + swing·sin, rows from the top. */
function hill(rgb: Float32Array, draw: Draw, height: number, swing: number, above: Rgb, below: Rgb): void {
  const [phase, rate] = [draw() * 6.3, 0.06 + draw() * 0.05];
  for (let x = 0; x < SIDE; x++) {
    const edge = height + swing * Math.sin(x * rate + phase);
    for (let y = Math.max(0, Math.floor(edge - 1)); y < SIDE; y++) {
      const [r, g, b] = mix(above, below, Math.min(1, Math.max(0, (y - edge) / (SIDE - edge))));
      blend(rgb, y * SIDE + x, r, g, b, cover(edge - y - 0.5));
    }
  }
}

/** A small cloud of three discs. */
function cloud(rgb: Float32Array, x: number, y: number, size: number): void {
  const white: Rgb = [1, 1, 1];
  for (const [dx, dy, radius] of [
    [-1, 0.15, 0.75],
    [0, -0.2, 1],
    [1, 0.1, 0.8],
  ] as const)
    disc(rgb, x + dx * size, y + dy * size, radius * size, white, 0.8);
}

const sky = (draw: Draw): readonly [Rgb, Rgb] => [tone(draw, 0.56, 0.65, 0.76), tone(draw, 0.55, 0.6, 0.91)];
const pastel = (draw: Draw): Rgb => hsl(draw(), 0.45 + 0.2 * draw(), 0.82 + 0.05 * draw());

function plain(rgb: Float32Array, draw: Draw): void {
  const colour = pastel(draw);
  fade(rgb, colour, colour);
}

function gradient(rgb: Float32Array, draw: Draw): void {
  const hue = draw();
  fade(rgb, hsl(hue, 0.7, 0.62), hsl(hue + pick(draw, [-1, 1]) * (0.17 + 0.12 * draw()), 0.75, 0.86));
}

function checker(rgb: Float32Array, draw: Draw): void {
  const hue = draw();
  const dark = hsl(hue, 0.3, 0.62);
  const [light, size] = [hsl(hue + vary(draw, 0.1), 0.3, 0.92), 8 + Math.floor(draw() * 3)];
  const [ox, oy] = [draw() * 2 * size, draw() * 2 * size];
  fade(rgb, light, light);
  const side = (t: number): number => {
    const p = fraction(t / (2 * size)) * 2 * size;
    return Math.max(-1, Math.min(1, p < size ? 2 * Math.min(p, size - p) : -2 * Math.min(p - size, 2 * size - p)));
  };
  for (let y = 0; y < SIDE; y++) {
    const row = side(y + 0.5 + oy);
    for (let x = 0; x < SIDE; x++)
      blend(rgb, y * SIDE + x, dark[0], dark[1], dark[2], 0.5 + 0.5 * row * side(x + 0.5 + ox));
  }
}

function brick(rgb: Float32Array, draw: Draw): void {
  const mortar = tone(draw, 0.09, 0.15, 0.84);
  const base = tone(draw, 0.035, 0.42, 0.56);
  const [height, width] = [8, 16];
  const [ox, oy] = [Math.floor(draw() * width), Math.floor(draw() * height)];
  const salt = Math.floor(draw() * PIXELS);
  for (let y = 0; y < SIDE; y++) {
    const row = Math.floor((y + oy) / height);
    const ry = y + 0.5 + oy - row * height;
    for (let x = 0; x < SIDE; x++) {
      const along = x + 0.5 + ox + (row % 2) * (width / 2);
      const column = Math.floor(along / width);
      const rx = along - column * width;
      const inside = Math.min(
        cover(1.3 - Math.min(rx, width - rx) - 0.5),
        cover(1.3 - Math.min(ry, height - ry) - 0.5),
      );
      const shade = 0.86 + 0.26 * grain[(row * 37 + column * 11 + salt) % PIXELS]! + 0.05 * grain[y * SIDE + x]!;
      const o = (y * SIDE + x) * 3;
      for (let c = 0; c < 3; c++) rgb[o + c] = Math.min(1, mortar[c]! + (base[c]! * shade - mortar[c]!) * inside);
    }
  }
}

function grass(rgb: Float32Array, draw: Draw): void {
  const [high, low] = sky(draw);
  fade(rgb, high, low);
  cloud(rgb, 8 + draw() * 48, 5 + draw() * 8, 3 + draw() * 1.5);
  hill(rgb, draw, 22 + draw() * 6, 2.5, tone(draw, 0.27, 0.45, 0.68), tone(draw, 0.29, 0.5, 0.55));
  const blade = tone(draw, 0.3, 0.5, 0.44);
  for (let i = 0; i < 46; i++) {
    const [x, y] = [Math.floor(draw() * SIDE), Math.floor(32 + draw() * 31)];
    for (let k = 0; k < 4; k++)
      if (y - k > 28) blend(rgb, (y - k) * SIDE + x, blade[0], blade[1], blade[2], 0.55 - 0.1 * k);
  }
  for (let i = 0; i < 9; i++) {
    const petals = pick(draw, [
      [1, 1, 0.95],
      [1, 0.93, 0.5],
      [1, 0.8, 0.86],
    ] as const);
    disc(rgb, draw() * SIDE, 34 + draw() * 29, 1.2, petals);
  }
}

function forest(rgb: Float32Array, draw: Draw): void {
  fade(rgb, tone(draw, 0.42, 0.3, 0.72), tone(draw, 0.36, 0.3, 0.82));
  for (let layer = 0; layer < 2; layer++) {
    const far = layer === 0;
    const colour = tone(draw, far ? 0.42 : 0.4, far ? 0.22 : 0.36, far ? 0.5 : 0.29);
    const gap = far ? 9 : 15;
    for (let at = -draw() * gap; at < SIDE + gap; at += gap * (0.8 + 0.4 * draw())) {
      const [high, low, half] = [(far ? 4 : -2) + draw() * 9, far ? 46 : 56, far ? 6 : 9];
      fir(rgb, at, high, low, half, colour);
    }
  }
  hill(rgb, draw, 51, 1.5, tone(draw, 0.28, 0.32, 0.4), tone(draw, 0.26, 0.35, 0.3));
}

/** A fir tree of three tiers between two rows. */
function fir(rgb: Float32Array, cx: number, high: number, low: number, half: number, [r, g, b]: Rgb): void {
  for (let y = Math.max(0, Math.floor(high)); y < low; y++) {
    const t = (y + 0.5 - high) / (low - high);
    const tier = fraction(Math.min(0.999, Math.max(0, t)) * 3);
    const width = half * (0.25 + 0.5 * t + 0.25 * tier) * Math.min(1, t * 6);
    for (let x = Math.max(0, Math.floor(cx - width - 1)); x < Math.min(SIDE, cx + width + 1); x++)
      blend(rgb, y * SIDE + x, r, g, b, cover(Math.abs(x + 0.5 - cx) - width));
  }
}

function sea(rgb: Float32Array, draw: Draw): void {
  const [high, low] = sky(draw);
  const horizon = 18 + Math.floor(draw() * 6);
  fade(rgb, high, low, 0, horizon);
  const sunX = 8 + draw() * 48;
  disc(rgb, sunX, horizon - 8 - draw() * 3, 4, [1, 0.95, 0.7]);
  fade(rgb, tone(draw, 0.53, 0.5, 0.56), tone(draw, 0.58, 0.58, 0.42), horizon);
  const shift = draw() * 20;
  for (let y = horizon + 2; y < SIDE; y++) {
    const depth = (y - horizon) / (SIDE - horizon);
    for (let x = 0; x < SIDE; x++) {
      const crest = fraction((y - 1.4 * Math.sin(x * 0.42 + shift + Math.floor(y / 7) * 2)) / 7);
      const foam = crest < 0.2 ? 0.75 * (0.35 + 0.65 * depth) * (ripples[y * SIDE + x]! > 0.3 ? 1 : 0.35) : 0;
      if (foam > 0) blend(rgb, y * SIDE + x, 0.88, 0.96, 0.98, foam);
    }
  }
}

function desert(rgb: Float32Array, draw: Draw): void {
  fade(rgb, tone(draw, 0.09, 0.75, 0.8), tone(draw, 0.12, 0.8, 0.91));
  disc(rgb, 10 + draw() * 44, 8 + draw() * 5, 5.5, [1, 0.98, 0.86]);
  hill(rgb, draw, 23 + draw() * 4, 4, tone(draw, 0.1, 0.6, 0.7), tone(draw, 0.09, 0.55, 0.6));
  hill(rgb, draw, 36 + draw() * 4, 5, tone(draw, 0.11, 0.65, 0.76), tone(draw, 0.1, 0.6, 0.66));
  const shift = draw() * 20;
  for (let y = 42; y < SIDE; y++)
    for (let x = 0; x < SIDE; x++)
      if (fraction((y + 1.6 * Math.sin(x * 0.2 + shift)) / 6) < 0.2) blend(rgb, y * SIDE + x, 0.68, 0.5, 0.28, 0.35);
}

function snow(rgb: Float32Array, draw: Draw): void {
  fade(rgb, tone(draw, 0.6, 0.28, 0.72), tone(draw, 0.58, 0.25, 0.84));
  hill(rgb, draw, 27 + draw() * 4, 3, [0.9, 0.94, 0.99], [0.86, 0.91, 0.98]);
  hill(rgb, draw, 42 + draw() * 4, 3, [0.99, 0.99, 1], [0.93, 0.96, 1]);
  for (let i = 0; i < 34; i++) disc(rgb, draw() * SIDE, draw() * SIDE, 0.7 + draw() * 0.8, [1, 1, 1], 0.95);
}

function night(rgb: Float32Array, draw: Draw): void {
  fade(rgb, tone(draw, 0.65, 0.5, 0.13), tone(draw, 0.68, 0.42, 0.29));
  for (let i = 0; i < 40; i++) {
    const bright = draw() < 0.25;
    disc(rgb, draw() * SIDE, draw() * SIDE, bright ? 1.1 : 0.6, [1, 0.97, 0.82], bright ? 1 : 0.75);
  }
  const [x, y] = [9 + draw() * 46, 8 + draw() * 5];
  const deep: Rgb = tone(draw, 0.65, 0.5, 0.16);
  disc(rgb, x, y, 5.5, [1, 0.95, 0.75]);
  disc(rgb, x + 2.8, y - 1.4, 4.6, deep);
}

const painters: Readonly<Record<Background, Paint>> = {
  plain,
  gradient,
  checker,
  brick,
  grass,
  forest,
  sea,
  desert,
  snow,
  night,
};

/** Fills all of `rgb` [64, 64, 3] with a background. */
export function paintBackground(background: Background, rgb: Float32Array, draw: Draw): void {
  painters[background](rgb, draw);
  const shift = Math.floor(draw() * PIXELS);
  for (let i = 0; i < PIXELS; i++) {
    const light = 1 + (clouds[(i + shift) % PIXELS]! - 0.5) * 0.022;
    const o = i * 3;
    rgb[o] = rgb[o]! * light;
    rgb[o + 1] = rgb[o + 1]! * light;
    rgb[o + 2] = rgb[o + 2]! * light;
  }
}
