import { type Draw, pick, shuffled, uniformDraws } from '../random/hash.js';
import type { AttributeRecord, Position } from './attributes.js';
import {
  accessoryPhrases,
  backgroundPhrases,
  colourWords,
  columnWords,
  middleWords,
  pictureNouns,
  placeNouns,
  rareTokens,
  rowWords,
  shapeNouns,
  sizeWords,
  styleWords,
  superClassNouns,
} from './lexicon.js';

export interface CaptionOptions {
  /** Probability that an attribute goes unsaid; 0 states all but "no accessory". Default 0.2. */
  drop?: number;
  /** Probability of a token without meaning before the noun. Default 0.005. */
  rare?: number;
}

const stream = 0x4000;

/** "a" or "an" before the words. */
export function withArticle(words: string): string {
  return `${/^[aeiou]/.test(words) ? 'an' : 'a'} ${words}`;
}

/** Where in the picture, in words. */
function placePhrase(draw: Draw, position: Position): string {
  const tail = draw() < 0.3 ? ` of the ${pick(draw, ['picture', 'image'])}` : '';
  if (position === 'centre') return `${pick(draw, ['in', 'at'])} the ${pick(draw, middleWords)}${tail}`;
  const row = /top|bottom/.exec(position)?.[0] as 'top' | 'bottom' | undefined;
  const column = /left|right/.exec(position)?.[0] as 'left' | 'right' | undefined;
  if (row !== undefined && column !== undefined)
    return `in the ${pick(draw, rowWords[row])} ${column}${draw() < 0.5 ? ` ${pick(draw, placeNouns.corner)}` : ''}${tail}`;
  if (row !== undefined)
    return draw() < 0.5
      ? `at the ${row}${tail}`
      : `at the ${pick(draw, rowWords[row])} ${pick(draw, placeNouns.side)}${tail}`;
  const side = column!;
  return draw() < 0.4
    ? `on the ${side}${tail}`
    : `on the ${pick(draw, columnWords[side])} ${pick(draw, placeNouns.side)}${tail}`;
}

interface Phrases {
  /** Adjectives and noun, without an article. */
  subject: string;
  accessory: string;
  background: string;
  place: string;
  style: string;
}

function phrasesOf(record: AttributeRecord, draw: Draw, drop: number, rare: number): Phrases {
  const said = (share = 1): boolean => draw() >= drop * share;
  const colour = said(0.6) ? pick(draw, colourWords[record.colour]) : '';
  const size = said(1.5) ? pick(draw, sizeWords[record.size]) : '';
  const sized = size === '' ? '' : `${size}${draw() < 0.2 ? ' sized' : ''}`;
  const noun = said(0.5) ? pick(draw, shapeNouns[record.shape]) : pick(draw, superClassNouns[record.superClass]);
  const token = draw() < rare ? pick(draw, rareTokens) : '';
  return {
    subject: [sized, colour, token, noun].filter((word) => word !== '').join(' '),
    accessory: record.accessory !== 'none' && said(0.6) ? pick(draw, accessoryPhrases[record.accessory]) : '',
    background: said(0.6) ? pick(draw, backgroundPhrases[record.background]) : '',
    place: said(1.5) ? placePhrase(draw, record.position) : '',
    style: said(record.style === 'flat' ? 2.5 : 0.5) ? pick(draw, styleWords[record.style]) : '',
  };
}

const joined = (separator: string, parts: readonly string[]): string =>
  parts.filter((part) => part !== '').join(separator);

/** A list of tags in any order. */
function tags(phrases: Phrases, draw: Draw): string {
  const { subject, accessory, background, place, style } = phrases;
  const bare = style === '' ? '' : joined(' ', [style, pick(draw, ['', 'style', 'picture'])]);
  return joined(', ', shuffled(draw, [subject, accessory, background, place, bare]));
}

/** What the picture is of, with background and place after it in either order, or one of them first. */
function sentence(phrases: Phrases, draw: Draw): string {
  const { accessory, background, place, style } = phrases;
  const subject = withArticle(phrases.subject);
  const worn = joined(' ', [subject, accessory]);
  const medium = (): string => `${withArticle(joined(' ', [style, pick(draw, pictureNouns)]))} of ${worn}`;
  const where = shuffled(draw, [background, place]);
  const form = pick(draw, ['noun', 'noun', 'medium', 'medium', 'there', 'verb', 'first', 'see'] as const);
  const last = style === '' ? '' : `, ${style} style`;
  switch (form) {
    case 'noun':
      return style === '' || draw() < 0.5
        ? `${joined(' ', [worn, ...where])}${last}`
        : joined(' ', [medium(), ...where]);
    case 'medium':
      return joined(' ', [medium(), ...where]);
    case 'there':
      return `there is ${joined(' ', [worn, ...where])}${last}.`;
    case 'verb':
      return `${joined(' ', [worn, background === '' && place === '' ? 'is here' : pick(draw, ['is', 'sits', 'is placed']), ...where])}${last}.`;
    case 'first':
      return where[0] === ''
        ? joined(' ', [medium(), where[1]!])
        : joined(' ', [`${where[0]}, ${worn}`, where[1]!]) + last;
    case 'see':
      return joined(' ', [
        style === '' && draw() < 0.7
          ? pick(draw, ['we see', 'here is'])
          : `this ${joined(' ', [style, pick(draw, pictureNouns)])} shows`,
        worn,
        ...where,
      ]);
  }
}

/**
 * A caption of a record: true, in lower case, in words of `vocabulary`. Different seeds choose other words, orders
 * and omissions.
 */
export function caption(
  record: AttributeRecord,
  seed: number,
  { drop = 0.2, rare = 0.005 }: CaptionOptions = {},
): string {
  const draw = uniformDraws(seed, stream);
  const phrases = phrasesOf(record, draw, drop, rare);
  return (draw() < 0.15 ? tags(phrases, draw) : sentence(phrases, draw)).toLowerCase();
}
