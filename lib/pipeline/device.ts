import { cpus } from 'node:os';
import { deviceText, EXPECTED_CAPABILITY, isUsable } from '../addon/cudaDevices.js';
import { loadAddon } from '../addon/load.js';
import type { AddonInfo, CudaDevice } from '../addon/surface.js';
import { ConfigError, DeviceError } from '../errors.js';
import { CUDA_WORKSPACE_BYTES, type Target } from '../plan/target.js';
import { type ComputeType, computeType, type Precision, precisionOn } from './precision.js';

/** The device that computes. */
export interface DeviceInfo {
  readonly kind: 'cpu' | 'cuda';
  /** Such as `AMD EPYC, 2 threads, avx2 fma f16c`, or `NVIDIA H100 80GB HBM3`. */
  readonly name: string;
  /** N of `cuda:N`. */
  readonly index?: number;
}

/** What may be asked for: `cuda` is the first CUDA device that can be used, `auto` that one or else the CPU. */
export type DeviceWish = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** A device and how it computes. */
export interface ComputeDevice {
  readonly info: DeviceInfo;
  /** Why it was chosen. */
  readonly reason: string;
  /** What is missing that it goes without, in one line. */
  readonly lacking?: string;
  readonly precision: Precision;
  /** Type of activations and matrices; undefined on the CPU: float32, and weights in their stored type. */
  readonly compute: ComputeType | undefined;
  /** What plans for it are made for. */
  readonly target: Target;
  /** Of the host. */
  readonly threads: number;
  /** On CUDA: a shape's algorithm is always the first of its library's own order; else it is the fastest of a few that are tried. */
  readonly deterministic: boolean;
  /** Whether algorithms that were found fastest are kept for the user (algorithmCache.ts). */
  readonly algorithmCache: boolean;
}

/** How a device is to compute; by default with algorithms that nothing has to be tried for. */
export interface DeviceSettings {
  readonly threads: number;
  readonly precision?: Precision | undefined;
  readonly deterministic?: boolean | undefined;
  readonly algorithmCache?: boolean | undefined;
}

/** Why no CUDA device can be used. */
function whyNone({ cuda }: Pick<AddonInfo, 'cuda'>): string {
  if (cuda.devices.length === 0) return cuda.reason;
  return `${EXPECTED_CAPABILITY}, found ${cuda.devices.map(deviceText).join('; ')}`;
}

type Machine = Pick<AddonInfo, 'cpu' | 'cuda'>;

function refused(wish: string, machine: Machine, why: string): DeviceError {
  const found = ['cpu', ...machine.cuda.devices.map(deviceText)].join('; ');
  return new DeviceError(`device: expected one that can be used, got ${wish}: ${why}`, {
    hint: `Devices found: ${found}. Use --device auto or --device cpu.`,
  });
}

/** The CUDA device for a wish; undefined where `auto` finds none. */
function cudaFor(wish: DeviceWish, machine: Machine): CudaDevice | undefined {
  const devices = machine.cuda.devices.filter(isUsable);
  if (wish === 'auto') return devices[0];
  if (devices.length === 0) throw refused(wish, machine, whyNone(machine));
  if (wish === 'cuda') return devices[0];
  const device = devices.find(({ index }) => `cuda:${index}` === wish);
  if (device) return device;
  throw refused(wish, machine, 'there is no such device that can be used');
}

/** The CPU's algorithms are its own. */
const OWN_ALGORITHMS = { deterministic: true, algorithmCache: false };

function cpuDevice(threads: number, { cpu }: Machine, reason: string, precision: Precision | undefined): ComputeDevice {
  const model = cpus()[0]?.model.trim() ?? 'CPU';
  const info = { kind: 'cpu' as const, name: `${model}, ${threads} threads, ${cpu.join(' ')}` };
  const on = { precision: precisionOn('cpu', precision, reason), compute: undefined };
  return { info, reason: `CPU: ${reason}`, ...on, target: threads, threads, ...OWN_ALGORITHMS };
}

function cudaDevice(
  { threads, precision: wish, deterministic = true, algorithmCache = !deterministic }: DeviceSettings,
  { index, name, workspaceBytes }: Pick<CudaDevice, 'index' | 'name' | 'workspaceBytes'>,
  reason: string,
): ComputeDevice {
  const precision = precisionOn('cuda', wish, reason);
  const target = { device: 'cuda' as const, threads, workspaceBytes };
  return {
    info: { kind: 'cuda', name, index },
    reason: `CUDA: ${reason}`,
    precision,
    compute: computeType(precision),
    target,
    threads,
    deterministic,
    algorithmCache: algorithmCache && !deterministic,
  };
}

/**
 * The device for a wish, never another one than was asked for, and why it was chosen.
 * @throws DeviceError when what was asked for cannot be used, with the devices found; ConfigError for a precision that the CPU lacks;
 * NativeAddonError when the addon is absent
 */
export function chooseDevice(
  wish: DeviceWish,
  settings: DeviceSettings,
  machine: Machine = loadAddon().info(),
): ComputeDevice {
  const { threads, precision } = settings;
  if (wish === 'cpu') return cpuDevice(threads, machine, 'asked for', precision);
  const device = cudaFor(wish, machine);
  if (!device) return cpuDevice(threads, machine, whyNone(machine), precision);
  const count = machine.cuda.devices.length;
  const found = count === 1 ? 'the only device' : `the first of ${count} devices that can be used`;
  const { lacking } = machine.cuda;
  const chosen = cudaDevice(settings, device, wish === 'auto' ? `${found} found` : 'asked for');
  return lacking === '' ? chosen : { ...chosen, lacking };
}

/**
 * The device for training whole models, whose weights are float32: fp32, or tf32 where that is asked for.
 * @throws as chooseDevice; ConfigError for bf16 and fp16
 */
export function chooseFloat32Device(
  wish: DeviceWish,
  { threads, precision = 'fp32' }: { threads: number; precision?: Precision | undefined },
  machine?: Machine,
): ComputeDevice {
  if (precision === 'fp32' || precision === 'tf32') return chooseDevice(wish, { threads, precision }, machine);
  throw new ConfigError(`precision: expected fp32 or tf32, as all weights are trained, got ${precision}`);
}

/** A device to plan for, on a machine that need not have it: `auto` is CUDA where the precision is none of the CPU's. */
export function planDevice(
  wish: DeviceWish,
  { threads, precision }: { threads: number; precision: Precision | undefined },
): ComputeDevice {
  const cuda = wish === 'auto' ? precision !== undefined && precision !== 'fp32' : wish !== 'cpu';
  if (!cuda)
    return cpuDevice(
      threads,
      { cpu: [], cuda: { found: false, reason: '', lacking: '', devices: [] } },
      'asked for',
      precision,
    );
  const index = Number(/\d+$/.exec(wish)?.[0] ?? 0);
  const facts = { index, name: 'CUDA', workspaceBytes: CUDA_WORKSPACE_BYTES };
  return cudaDevice({ threads, precision }, facts, 'asked for');
}
