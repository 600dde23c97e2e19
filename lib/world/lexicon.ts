import type { Accessory, Background, Colour, Shape, Size, Style, SuperClass } from './attributes.js';

type Words<V extends string> = Readonly<Record<V, readonly string[]>>;

/** Nouns. No word of this or a later table means two things. */
export const shapeNouns: Words<Shape> = {
  cat: ['cat', 'kitten'],
  dog: ['dog', 'puppy'],
  rabbit: ['rabbit', 'bunny'],
  bear: ['bear', 'teddy'],
  bird: ['bird', 'chick'],
  owl: ['owl'],
  fish: ['fish'],
  frog: ['frog', 'toad'],
  turtle: ['turtle', 'tortoise'],
  butterfly: ['butterfly'],
  snail: ['snail'],
  octopus: ['octopus', 'squid'],
  house: ['house', 'cottage'],
  car: ['car', 'automobile'],
  boat: ['boat', 'sailboat'],
  rocket: ['rocket', 'spaceship'],
  mug: ['mug', 'cup'],
  umbrella: ['umbrella', 'parasol'],
  flower: ['flower', 'blossom'],
  mushroom: ['mushroom', 'toadstool'],
  cactus: ['cactus'],
  star: ['star'],
  heart: ['heart'],
  apple: ['apple'],
};

export const superClassNouns: Words<SuperClass> = { creature: ['creature', 'animal'], object: ['object', 'thing'] };

export const colourWords: Words<Colour> = {
  red: ['red', 'scarlet', 'crimson'],
  orange: ['orange', 'tangerine'],
  yellow: ['yellow', 'lemon'],
  green: ['green', 'emerald'],
  teal: ['teal', 'turquoise'],
  blue: ['blue', 'azure'],
  purple: ['purple', 'violet'],
  pink: ['pink', 'rosy'],
  brown: ['brown', 'chocolate'],
  grey: ['grey', 'gray', 'silver'],
};

export const sizeWords: Words<Size> = {
  small: ['small', 'little', 'tiny'],
  medium: ['medium', 'average'],
  large: ['large', 'big', 'huge'],
};

/** Where things are. The word in capitals stands for the value; the others mean nothing. Said in lower case. */
export const backgroundPhrases: Words<Background> = {
  plain: ['on a PLAIN background', 'in front of a PLAIN wall', 'before an EMPTY backdrop'],
  gradient: ['on a GRADIENT', 'with a GRADIENT background', 'in front of a GRADIENT backdrop'],
  checker: ['on a CHECKERBOARD', 'with a CHECKERED background', 'in front of CHECKERED tiles'],
  brick: ['in front of a BRICK wall', 'with BRICKS behind', 'by a BRICK wall'],
  grass: ['on the GRASS', 'in a MEADOW', 'on a LAWN'],
  forest: ['in a FOREST', 'in the WOODS', 'in front of TREES'],
  sea: ['at the SEA', 'on the OCEAN', 'with WAVES behind'],
  desert: ['in the DESERT', 'on SAND', 'between DUNES'],
  snow: ['in the SNOW', 'on a SNOWY hill', 'in WINTER'],
  night: ['at NIGHT', 'under the MOON', 'under a NIGHT sky'],
};

/** What is worn, marked in the same way. */
export const accessoryPhrases: Words<Exclude<Accessory, 'none'>> = {
  hat: ['with a HAT', 'wearing a HAT', 'wearing a black HAT'],
  bow: ['with a BOW', 'wearing a BOW', 'with a RIBBON'],
  frame: ['in a FRAME', 'with a golden FRAME', 'FRAMED'],
  halo: ['with a HALO', 'under a HALO', 'wearing a golden HALO'],
  scarf: ['with a SCARF', 'wearing a SCARF', 'with a striped SCARF'],
};

/** Adjectives of the picture. */
export const styleWords: Words<Style> = {
  flat: ['flat', 'simple', 'cartoon'],
  outline: ['outline', 'outlined', 'contour'],
  dither: ['dithered', 'pixel', 'dither'],
  sketch: ['sketched', 'pencil', 'sketch'],
  inverted: ['inverted', 'negative'],
};

export const pictureNouns: readonly string[] = ['picture', 'image', 'photo', 'drawing', 'illustration', 'view'];

/** Words for rows and columns of the grid; a row or column that goes unnamed beside another is the middle one. */
export const rowWords: Words<'top' | 'bottom'> = { top: ['top', 'upper'], bottom: ['bottom', 'lower'] };
export const columnWords: Words<'left' | 'right'> = { left: ['left', 'leftmost'], right: ['right', 'rightmost'] };
export const middleWords: readonly string[] = ['centre', 'center', 'middle'];

/** Where a noun of position may follow, and the nouns. */
export const placeNouns: Words<'corner' | 'side'> = { corner: ['corner', 'area'], side: ['side', 'edge', 'part'] };

/** Words of the grammar itself. */
export const grammarWords: readonly string[] = [
  ...['a', 'an', 'the', 'of', 'in', 'on', 'at', 'with', 'by', 'is', 'there', 'we', 'see', 'shows', 'this'],
  ...['sits', 'placed', 'here', 'sized', 'style'],
];

/** Tokens without meaning: v1 … v32 and sks. */
export const rareTokens: readonly string[] = [...Array.from({ length: 32 }, (_, i) => `v${i + 1}`), 'sks'];

const tables: readonly Words<string>[] = [
  shapeNouns,
  superClassNouns,
  colourWords,
  sizeWords,
  backgroundPhrases,
  accessoryPhrases,
  styleWords,
  rowWords,
  columnWords,
  placeNouns,
];

/** Every word and sign that a caption can hold, sorted, each once. */
export const vocabulary: readonly string[] = [
  ...new Set([
    ...tables.flatMap((table) => Object.values(table).flat()).flatMap((phrase) => phrase.toLowerCase().split(' ')),
    ...pictureNouns,
    ...middleWords,
    ...grammarWords,
    ...rareTokens,
    ',',
    '.',
  ]),
].sort();

/** The words of a caption, with commas and full stops as words of their own. */
export function captionWords(caption: string): string[] {
  return caption.match(/[a-z0-9]+|[,.]/g) ?? [];
}
