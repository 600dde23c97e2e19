import { shuffled, uniformDraws } from '../random/hash.js';
import { type Attribute, type Attributes, attributeValues } from './attributes.js';

/** Share of the pairs in each table that pretraining never sees. */
export const HELD_OUT_SHARE = 0.15;

/** The attributes whose pairs are tables to hold out from. */
export const pairTables: readonly (readonly [Attribute, Attribute])[] = [
  ['shape', 'colour'],
  ['shape', 'background'],
  ['shape', 'accessory'],
  ['background', 'style'],
];

/** Two attributes with the values that never meet in pretraining. */
export interface HeldOutPair {
  readonly first: Attribute;
  readonly firstValue: string;
  readonly second: Attribute;
  readonly secondValue: string;
}

/** The default values, which every value of another attribute must be seen with. */
const always: ReadonlySet<string> = new Set(['none', 'flat']);
const seed = 20250704;

/** Cells of one table, spread so that no row or column loses much more than its share. */
function choose(first: Attribute, second: Attribute, stream: number): HeldOutPair[] {
  const [rows, columns]: (readonly string[])[] = [attributeValues[first], attributeValues[second]];
  const wanted = Math.round(HELD_OUT_SHARE * rows!.length * columns!.length);
  const open = columns!.filter((value) => !always.has(value));
  const most = { row: Math.ceil(wanted / rows!.length), column: Math.ceil(wanted / open.length) };
  const cells = rows!.flatMap((firstValue) => open.map((secondValue) => ({ first, firstValue, second, secondValue })));
  const counts = new Map<string, number>();
  const chosen: HeldOutPair[] = [];
  for (const slack of [0, 1, 2]) {
    for (const cell of shuffled(uniformDraws(seed, stream), cells)) {
      const [inRow, inColumn] = [counts.get(cell.firstValue) ?? 0, counts.get(cell.secondValue) ?? 0];
      const full = inRow >= most.row + slack || inColumn >= most.column + slack;
      if (chosen.length === wanted || full || chosen.includes(cell)) continue;
      chosen.push(cell);
      counts.set(cell.firstValue, inRow + 1);
      counts.set(cell.secondValue, inColumn + 1);
    }
  }
  return chosen;
}

/** All pairs that pretraining never sees: 15 % of the cells of each table. The same everywhere and always. */
export const heldOutPairs: readonly HeldOutPair[] = pairTables.flatMap(([first, second], i) =>
  choose(first, second, i),
);

const key = (first: string, firstValue: string, second: string, secondValue: string): string =>
  `${first}=${firstValue} ${second}=${secondValue}`;
const held: ReadonlySet<string> = new Set(
  heldOutPairs.map((pair) => key(pair.first, pair.firstValue, pair.second, pair.secondValue)),
);

/** Whether some pair of the stated attributes is held out of pretraining. */
export function isHeldOut(attributes: Attributes): boolean {
  return pairTables.some(([first, second]) => {
    const [a, b] = [attributes[first], attributes[second]];
    return a !== undefined && b !== undefined && held.has(key(first, a, second, b));
  });
}
