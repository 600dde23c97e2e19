import { z } from 'zod';
import { checkOptions } from '../lib/options/checkOptions.js';
import { device, precision } from '../lib/options/fields.js';
import type { ComputeDevice, chooseDevice } from '../lib/pipeline/device.js';

const flags = z.strictObject({ device, precision });

/**
 * The device of a script's flags --device and --precision; says which it is.
 * @param choose chooseDevice, or chooseFloat32Device where whole models are trained
 * @throws TloraError
 */
export function deviceOf(
  given: { device: string; precision: string },
  threads: number,
  choose: typeof chooseDevice,
): ComputeDevice {
  const wish = checkOptions('flags', flags, { device: given.device, precision: given.precision });
  const chosen = choose(wish.device, { threads, precision: wish.precision });
  console.error(`device: ${chosen.info.name} (${chosen.reason}), ${chosen.precision}`);
  return chosen;
}
