import { cpus } from 'node:os';
import { loadAddon } from '../addon/load.js';
import { DeviceError } from '../errors.js';

/** The device that computes. */
export interface DeviceInfo {
  readonly kind: 'cpu' | 'cuda';
  /** Such as `AMD EPYC, 2 threads, avx2 fma f16c`. */
  readonly name: string;
}

/**
 * The device for a wish, and why it was chosen. Only the CPU computes in this version.
 * @throws DeviceError when CUDA was asked for; NativeAddonError when the addon is absent
 */
export function chooseDevice(wish: 'auto' | 'cpu' | 'cuda', threads: number): { device: DeviceInfo; reason: string } {
  const info = loadAddon().info();
  if (wish === 'cuda') {
    throw new DeviceError(`device: expected one that this build can use, got cuda: ${info.cuda.reason}`, {
      hint: 'Use --device cpu.',
    });
  }
  const model = cpus()[0]?.model.trim() ?? 'CPU';
  const device = { kind: 'cpu' as const, name: `${model}, ${threads} threads, ${info.cpu.join(' ')}` };
  return { device, reason: wish === 'cpu' ? 'CPU: asked for' : `CPU: ${info.cuda.reason}` };
}
