import { OutOfMemoryError } from '../errors.js';
import { formatBytes } from '../plan/byteSize.js';
import { type DeviceInfo, freeDeviceMemory } from './device.js';

/** Bytes that this process may still take without swapping; a container's limit counts. */
export function availableMemory(): number {
  return process.availableMemory();
}

/**
 * @param hint what to do, given the free memory as a text
 * @throws OutOfMemoryError when more is needed than is free on the device, before anything is allocated
 */
export function expectMemory(device: DeviceInfo, neededBytes: number, hint: (free: string) => string): void {
  const free = device.kind === 'cpu' ? availableMemory() : freeDeviceMemory(device);
  if (neededBytes <= free) return;
  const text = formatBytes(free);
  const where = device.kind === 'cpu' ? '' : ` on cuda:${device.index}`;
  throw new OutOfMemoryError(`memory: this run needs ${formatBytes(neededBytes)}${where}, ${text} are free`, {
    hint: hint(text),
  });
}
