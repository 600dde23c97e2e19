import type { Style } from './attributes.js';
import { clouds, grain, PIXELS, type Rgb, SIDE } from './canvas.js';

type Change = (rgb: Float32Array) => void;

/** A colouring book: all but white, with thin paint. */
function outline(rgb: Float32Array): void {
  for (let o = 0; o < rgb.length; o++) rgb[o] = 0.62 + 0.38 * rgb[o]!;
}

/** Thin pencil strokes on paper, aslant the other way than those of the subject. */
function sketch(rgb: Float32Array): void {
  const paper: Rgb = [0.97, 0.95, 0.9];
  for (let i = 0; i < PIXELS; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const wave = (x - y + 3 * clouds[i]!) * 0.21;
    const stroke = Math.abs(wave - Math.floor(wave) - 0.5) * 2;
    const bare = 0.4 + 0.35 * stroke + 0.2 * grain[i]!;
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = rgb[i * 3 + c]! + (paper[c]! - rgb[i * 3 + c]!) * bare;
  }
}

/** Lightness upside down, hue kept: every channel moves by 1 − max − min of its pixel. */
function inverted(rgb: Float32Array): void {
  for (let o = 0; o < rgb.length; o += 3) {
    const [r, g, b] = [rgb[o]!, rgb[o + 1]!, rgb[o + 2]!];
    const shift = 1 - Math.max(r, g, b) - Math.min(r, g, b);
    rgb[o] = r + shift;
    rgb[o + 1] = g + shift;
    rgb[o + 2] = b + shift;
  }
}

const backgroundChanges: Partial<Readonly<Record<Style, Change>>> = { outline, sketch, inverted };

/** What a style does to the background before the subject is painted. */
export function styleBackground(style: Style, rgb: Float32Array): void {
  backgroundChanges[style]?.(rgb);
}

/** Thresholds of ordered dithering in 16ths (Bayer, 4×4). */
const bayer = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5];
const STEPS = 3;

/** What a style does to the finished picture: `dither` leaves four values a channel. */
export function styleWhole(style: Style, rgb: Float32Array): void {
  if (style !== 'dither') return;
  for (let i = 0; i < PIXELS; i++) {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
    const threshold = (bayer[(y % 4) * 4 + (x % 4)]! + 0.5) / 16;
    for (let c = 0; c < 3; c++)
      rgb[i * 3 + c] = Math.min(STEPS, Math.floor(rgb[i * 3 + c]! * STEPS + threshold)) / STEPS;
  }
}
