import { z } from 'zod';
import { checkOptions } from '../lib/options/checkOptions.js';
import { device, precision } from '../lib/options/fields.js';
import { type ComputeDevice, chooseFloat32Device } from '../lib/pipeline/device.js';

const flags = z.strictObject({ device, precision });

/** The device of the flags --device and --precision of a script that trains whole models; says which it is. @throws TloraError */
export function float32Device(given: { device: string; precision: string }, threads: number): ComputeDevice {
  const wish = checkOptions('flags', flags, { device: given.device, precision: given.precision });
  const chosen = chooseFloat32Device(wish.device, { threads, precision: wish.precision });
  console.error(`device: ${chosen.info.name} (${chosen.reason}), ${chosen.precision}`);
  return chosen;
}
