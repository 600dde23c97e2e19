import type { Draw } from '../random/hash.js';
import type { Colour, Style } from './attributes.js';
import { hsl, invertLightness, mix, type Rgb } from './canvas.js';
import { type Paint, paints } from './part.js';

/** Hue in turns, saturation, lightness of the colours with names. */
const named: Readonly<Record<Colour, Rgb>> = {
  red: [0.99, 0.76, 0.5],
  orange: [0.073, 0.95, 0.54],
  yellow: [0.142, 0.95, 0.56],
  green: [0.34, 0.58, 0.42],
  teal: [0.49, 0.72, 0.43],
  blue: [0.605, 0.78, 0.54],
  purple: [0.76, 0.55, 0.52],
  pink: [0.925, 0.85, 0.75],
  brown: [0.07, 0.5, 0.33],
  grey: [0.6, 0.05, 0.58],
};

/** Paints of a subject in plain style, before a style changes them. */
export type Paints = Readonly<Record<Paint, Rgb>>;

const white: Rgb = [1, 1, 1];
const ink: Rgb = [0.13, 0.11, 0.16];
const fixed = {
  ink,
  white: [0.98, 0.97, 0.95],
  warm: [0.98, 0.66, 0.22],
  leaf: [0.36, 0.66, 0.3],
  steel: [0.33, 0.35, 0.42],
  glass: [0.72, 0.9, 0.98],
  wood: [0.62, 0.43, 0.27],
  rose: [0.96, 0.55, 0.58],
  gold: [1, 0.81, 0.25],
} as const satisfies Partial<Paints>;

/** A named colour, slightly varied. */
export function colourOf(colour: Colour, draw: Draw): Rgb {
  const [hue, saturation, lightness] = named[colour];
  return hsl(hue + (draw() - 0.5) * 0.022, saturation * (0.93 + 0.14 * draw()), lightness * (0.95 + 0.1 * draw()));
}

/** Paints around one main colour, or around three of a patterned sprite. */
export function paintsAround(main: Rgb, second: Rgb = mix(main, white, 0.5), third: Rgb = fixed.gold): Paints {
  return { ...fixed, main, dark: mix(main, ink, 0.3), pale: mix(main, white, 0.62), second, third };
}

/** How a style draws a subject. All colours as RGB triples by paint number. */
export interface Look {
  readonly fills: Float32Array;
  readonly lines: Float32Array;
  /** Width of edges as a multiple of the plain style's. */
  readonly lineScale: number;
  /** Lighter above than below by this share; negative: darker above. */
  readonly shade: number;
  /** Pencil strokes: how strongly a fill varies between paper and colour. */
  readonly hatch: number;
  /** Shake of edges, pixels. */
  readonly wobble: number;
}

const paper: Rgb = [0.97, 0.95, 0.9];
const graphite: Rgb = [0.27, 0.26, 0.3];

interface Recipe {
  fill(colour: Rgb, paint: Paint, of: Paints): Rgb;
  line(colour: Rgb, paint: Paint, of: Paints): Rgb;
  lineScale: number;
  shade: number;
  hatch: number;
  wobble: number;
}

const coloured: ReadonlySet<Paint> = new Set<Paint>(['main', 'second', 'third', 'rose', 'warm', 'gold']);

const flat: Recipe = {
  fill: (colour) => colour,
  line: (colour) => mix(colour, ink, 0.72),
  lineScale: 1,
  shade: 0.13,
  hatch: 0,
  wobble: 0,
};

const recipes: Readonly<Record<Style, Recipe>> = {
  flat,
  dither: flat,
  outline: {
    fill: (colour, paint, of) => {
      if (paint === 'ink') return mix(of.main, ink, 0.35);
      return mix(colour, white, paint === 'second' || paint === 'third' ? 0.6 : 0.86);
    },
    line: (colour, paint, of) => mix(paint === 'gold' || paint === 'rose' ? colour : of.main, ink, 0.12),
    lineScale: 1.5,
    shade: 0,
    hatch: 0,
    wobble: 0,
  },
  sketch: {
    fill: (colour, paint) => (paint === 'ink' ? graphite : mix(colour, paper, 0.12)),
    line: () => graphite,
    lineScale: 0.8,
    shade: 0,
    hatch: 0.62,
    wobble: 0.9,
  },
  inverted: {
    fill: (colour, paint, of) => {
      if (paint === 'dark') return of.pale;
      if (paint === 'pale') return of.dark;
      return coloured.has(paint) ? colour : invertLightness(colour);
    },
    line: (colour) => mix(colour, white, 0.82),
    lineScale: 1,
    shade: -0.13,
    hatch: 0,
    wobble: 0,
  },
};

const paintNames = Object.keys(paints) as Paint[];

/** The look of a subject's paints in a style. */
export function lookOf(style: Style, of: Paints): Look {
  const { fill, line, lineScale, shade, hatch, wobble } = recipes[style];
  const table = (recipe: Recipe['fill']): Float32Array =>
    new Float32Array(paintNames.flatMap((paint) => recipe(of[paint], paint, of)));
  return { fills: table(fill), lines: table(line), lineScale, shade, hatch, wobble };
}
