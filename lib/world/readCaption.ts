import { type Attributes, positions, type Shape, superClassOf } from './attributes.js';
import {
  accessoryPhrases,
  backgroundPhrases,
  captionWords,
  colourWords,
  columnWords,
  middleWords,
  rowWords,
  shapeNouns,
  sizeWords,
  styleWords,
  superClassNouns,
} from './lexicon.js';

type Meaning = readonly ['shape' | 'superClass' | 'colour' | 'size' | 'style' | 'background' | 'accessory', string];

/** The words that stand for values: the capitals of phrases, all of single words. */
function keyWords(table: Readonly<Record<string, readonly string[]>>): [string, string][] {
  return Object.entries(table).flatMap(([value, phrases]) =>
    phrases.map((phrase): [string, string] => [(/[A-Z]+/.exec(phrase)?.[0] ?? phrase).toLowerCase(), value]),
  );
}

const meanings: ReadonlyMap<string, Meaning> = new Map(
  (
    [
      ['shape', shapeNouns],
      ['superClass', superClassNouns],
      ['colour', colourWords],
      ['size', sizeWords],
      ['style', styleWords],
      ['background', backgroundPhrases],
      ['accessory', accessoryPhrases],
    ] as const
  ).flatMap(([attribute, table]) =>
    keyWords(table).map(([word, value]): [string, Meaning] => [word, [attribute, value]]),
  ),
);

function positionOf(words: readonly string[]): Attributes {
  const has = (list: readonly string[]): boolean => list.some((word) => words.includes(word));
  const row = has(rowWords.top) ? 'top' : has(rowWords.bottom) ? 'bottom' : '';
  const column = has(columnWords.left) ? 'left' : has(columnWords.right) ? 'right' : '';
  const name = [row, column].filter((part) => part !== '').join('-');
  const position = positions.find((one) => one === (name || (has(middleWords) ? 'centre' : '')));
  return position === undefined ? {} : { position };
}

/** The attributes that a caption or prompt states, as far as its words are the grammar's. */
export function readCaption(caption: string): Attributes {
  const words = captionWords(caption.toLowerCase());
  const stated = words.flatMap((word) => {
    const meaning = meanings.get(word);
    return meaning === undefined ? [] : [meaning];
  });
  const read: Attributes = { ...Object.fromEntries(stated), ...positionOf(words) };
  return read.shape === undefined ? read : { ...read, superClass: superClassOf(read.shape as Shape) };
}
