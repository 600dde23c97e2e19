import { OutOfMemoryError } from '../errors.js';
import { formatBytes } from '../plan/byteSize.js';
import type { ComputeDevice } from './device.js';
import { openSession } from './session.js';

/** Bytes that this process may still take without swapping; a container's limit counts. */
export function availableMemory(): number {
  return process.availableMemory();
}

/** Bytes that an engine on a device may take, its workspace included. */
function freeOn(device: ComputeDevice): number {
  if (device.info.kind === 'cpu') return availableMemory();
  const { engine } = openSession({ ...device, algorithmCache: false });
  try {
    const { free, workspace } = engine.memory();
    return free + workspace;
  } finally {
    engine.dispose();
  }
}

/**
 * @param hint what to do, given the free memory as a text
 * @returns what is free before
 * @throws OutOfMemoryError when more is needed than is free on the device, before anything is allocated
 */
export function expectMemory(device: ComputeDevice, neededBytes: number, hint: (free: string) => string): number {
  const free = freeOn(device);
  if (neededBytes <= free) return free;
  const text = formatBytes(free);
  const where = device.info.kind === 'cpu' ? '' : ` on cuda:${device.info.index}`;
  throw new OutOfMemoryError(`memory: this run needs ${formatBytes(neededBytes)}${where}, ${text} are free`, {
    hint: hint(text),
  });
}
