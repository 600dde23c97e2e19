import { OutOfMemoryError } from '../errors.js';
import { formatBytes } from '../plan/byteSize.js';

/** Bytes that this process may still take without swapping; a container's limit counts. */
export function availableMemory(): number {
  return process.availableMemory();
}

/**
 * @param hint what to do, given the free memory as a text
 * @throws OutOfMemoryError when more is needed than is free, before anything is allocated
 */
export function expectMemory(neededBytes: number, hint: (free: string) => string): void {
  const free = availableMemory();
  if (neededBytes <= free) return;
  const text = formatBytes(free);
  throw new OutOfMemoryError(`memory: this run needs ${formatBytes(neededBytes)}, ${text} are free`, {
    hint: hint(text),
  });
}
