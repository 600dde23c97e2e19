import { ConfigError } from '../errors.js';
import { type Draw, pick, uniformDraws } from '../random/hash.js';
import {
  type Accessory,
  type AttributeRecord,
  type Attributes,
  accessories,
  backgrounds,
  colours,
  positions,
  type Style,
  shapes,
  sizes,
  styles,
  superClassOf,
} from './attributes.js';
import { heldOutPairs, isHeldOut } from './heldOut.js';

export interface SampleOptions {
  /** false: no held-out pair, for pretraining · true: at least one, for testing · 'any' (default): as it comes */
  heldOut?: boolean | 'any';
  /** Attributes that are not drawn but given. */
  fixed?: Attributes;
}

const stream = { record: 0x3000 } as const;
/** Plain style and no accessory are more common than each of the others. */
const FLAT_SHARE = 0.36;
const BARE_SHARE = 0.34;

function drawRecord(draw: Draw, fixed: Attributes): AttributeRecord {
  const shape =
    fixed.shape ??
    pick(
      draw,
      shapes.filter((one) => (fixed.superClass ?? superClassOf(one)) === superClassOf(one)),
    );
  const style: Style = draw() < FLAT_SHARE ? 'flat' : pick(draw, styles.slice(1));
  const accessory: Accessory = draw() < BARE_SHARE ? 'none' : pick(draw, accessories.slice(1));
  return {
    colour: pick(draw, colours),
    background: pick(draw, backgrounds),
    position: pick(draw, positions),
    size: pick(draw, sizes),
    style,
    accessory,
    ...fixed,
    shape,
    superClass: superClassOf(shape),
    seed: Math.floor(draw() * 2 ** 32),
  };
}

/**
 * A random record for a seed.
 * @throws ConfigError if the given attributes leave no record of the wanted kind
 */
export function sampleRecord(seed: number, { heldOut = 'any', fixed = {} }: SampleOptions = {}): AttributeRecord {
  const draw = uniformDraws(seed, stream.record);
  for (let attempt = 0; attempt < 1000; attempt++) {
    const pair = heldOut === true ? pick(draw, heldOutPairs) : undefined;
    const forced = pair === undefined ? {} : { [pair.first]: pair.firstValue, [pair.second]: pair.secondValue };
    const record = drawRecord(draw, { ...forced, ...fixed });
    if (fixed.superClass !== undefined && fixed.superClass !== record.superClass) continue;
    if (heldOut === 'any' || isHeldOut(record) === heldOut) return record;
  }
  throw new ConfigError(
    `[sampleRecord] fixed: expected attributes that leave a record with heldOut ${heldOut}, got ${JSON.stringify(fixed)}`,
  );
}
