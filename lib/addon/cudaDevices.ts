import { formatBytes } from '../plan/byteSize.js';
import type { CudaDevice } from './surface.js';

/** Compute capability of the oldest devices that the CUDA library has code for. */
const LEAST_CAPABILITY = 8;

/** Whether the CUDA library has code for a device. */
export function isUsable({ capability }: Pick<CudaDevice, 'capability'>): boolean {
  return Number(capability) >= LEAST_CAPABILITY;
}

/** What a device that cannot be used lacks. */
export const EXPECTED_CAPABILITY: string = `expected a compute capability of ${LEAST_CAPABILITY}.0 or more`;

/** One line that names a CUDA device. */
export function deviceText({ index, name, capability, memoryBytes }: CudaDevice): string {
  return `cuda:${index} ${name}, compute capability ${capability}, ${formatBytes(memoryBytes)}`;
}
