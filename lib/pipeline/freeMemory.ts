import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { OutOfMemoryError } from '../errors.js';
import { formatBytes } from '../plan/byteSize.js';

/** Bytes that programs may still take without swapping. */
export function availableMemory(): number {
  try {
    const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'));
    if (match) return Number(match[1]) * 1024;
  } catch {
    // Not Linux: the system's own count of free memory is the next best.
  }
  return freemem();
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
