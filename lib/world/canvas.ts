import { hash32 } from '../random/hash.js';

/** Width and height of every picture, pixels. */
export const SIDE = 64;
export const PIXELS: number = SIDE * SIDE;

/** A picture being painted: RGB in [0, 1] (sRGB values, not linear light) and how much of the subject covers a pixel. */
export interface Canvas {
  /** [64, 64, 3] */
  readonly rgb: Float32Array;
  /** [64, 64] */
  readonly alpha: Float32Array;
}

export type Rgb = readonly [number, number, number];

/** White noise in [0, 1), [64, 64]. */
export const grain: Float32Array = Float32Array.from({ length: PIXELS }, (_, i) => hash32(i + 0x51ed27) / 2 ** 32);

const smooth = (t: number): number => t * t * (3 - 2 * t);

/** Value noise with `cells` cells a side that repeats at the border, in [0, 1), [64, 64]. */
function valueNoise(cells: number, salt: number): Float32Array {
  const at = (x: number, y: number): number => hash32((y % cells) * cells + (x % cells) + salt) / 2 ** 32;
  return Float32Array.from({ length: PIXELS }, (_, i) => {
    const x = ((i % SIDE) * cells) / SIDE;
    const y = (Math.floor(i / SIDE) * cells) / SIDE;
    const [x0, y0] = [Math.floor(x), Math.floor(y)];
    const [tx, ty] = [smooth(x - x0), smooth(y - y0)];
    const upper = at(x0, y0) * (1 - tx) + at(x0 + 1, y0) * tx;
    const lower = at(x0, y0 + 1) * (1 - tx) + at(x0 + 1, y0 + 1) * tx;
    return upper * (1 - ty) + lower * ty;
  });
}

/** Soft noise, features of about 8 pixels. */
export const clouds: Float32Array = valueNoise(8, 0x1000);
/** Fine soft noise, features of about 3 pixels. */
export const ripples: Float32Array = valueNoise(20, 0x2000);

/** Puts a colour over a pixel; `cover` in [0, 1]. */
export function blend(rgb: Float32Array, pixel: number, r: number, g: number, b: number, cover: number): void {
  const o = pixel * 3;
  rgb[o] = rgb[o]! + (r - rgb[o]!) * cover;
  rgb[o + 1] = rgb[o + 1]! + (g - rgb[o + 1]!) * cover;
  rgb[o + 2] = rgb[o + 2]! + (b - rgb[o + 2]!) * cover;
}

/** The colour `share` of the way from a to b. */
export function mix(a: Rgb, b: Rgb, share: number): Rgb {
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share];
}

/** Hue in turns, saturation and lightness in [0, 1]. */
export function hsl(hue: number, saturation: number, lightness: number): Rgb {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number): number => {
    const k = (n + (((hue % 1) + 1) % 1) * 12) % 12;
    return lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1));
  };
  return [channel(0), channel(8), channel(4)];
}

const clamp1 = (x: number): number => (x < 0 ? 0 : Math.min(x, 1));

/** Turns lightness upside down and keeps the hue: every channel moves by 1 − max − min. */
export function invertLightness([r, g, b]: Rgb): Rgb {
  const shift = 1 - Math.max(r, g, b) - Math.min(r, g, b);
  return [clamp1(r + shift), clamp1(g + shift), clamp1(b + shift)];
}
