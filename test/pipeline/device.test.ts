import { describe, expect, it } from 'vitest';
import type { CudaDevice } from '../../lib/addon/surface.js';
import { ConfigError, DeviceError } from '../../lib/errors.js';
import {
  type ComputeDevice,
  chooseDevice,
  chooseFloat32Device,
  type DeviceWish,
  planDevice,
} from '../../lib/pipeline/device.js';
import type { Precision } from '../../lib/pipeline/precision.js';

const H100 = { index: 0, name: 'H100', capability: '9.0', memoryBytes: 85e9, workspaceBytes: 7 };
const A100 = { ...H100, index: 1, name: 'A100', capability: '8.0' };
const T4 = { ...H100, index: 2, name: 'T4', capability: '7.5' };
const REASON = 'no NVIDIA driver was found';

function choose(wish: DeviceWish, devices: CudaDevice[], precision?: Precision, lacking = ''): ComputeDevice {
  const cuda = { found: devices.length > 0, reason: devices.length > 0 ? '' : REASON, lacking, devices };
  return chooseDevice(wish, { threads: 3, precision }, { cpu: ['avx2'], cuda });
}

describe('the device', () => {
  it('is the first CUDA device that can be used, in bfloat16, for auto and cuda', () => {
    const auto = choose('auto', [{ ...T4, index: 0 }, A100, H100]);
    expect(auto.info).toEqual({ kind: 'cuda', name: 'A100', index: 1 });
    expect(auto).toMatchObject({ precision: 'bf16', compute: 'bf16', threads: 3 });
    expect(auto.target).toEqual({ device: 'cuda', threads: 3, workspaceBytes: 7 });
    expect(auto.reason).toBe('CUDA: the first of 3 devices that can be used found');
    expect(choose('auto', [H100]).reason).toBe('CUDA: the only device found');
    expect(choose('cuda', [H100, A100])).toMatchObject({ info: { index: 0 }, reason: 'CUDA: asked for' });
  });

  it('has a line on what it goes without, and the CPU has none', () => {
    expect(choose('auto', [H100], 'bf16', 'no NVRTC').lacking).toBe('no NVRTC');
    expect(choose('auto', [H100])).not.toHaveProperty('lacking');
    expect(choose('cpu', [H100], 'fp32', 'no NVRTC')).not.toHaveProperty('lacking');
  });

  it('is the CPU for auto without a CUDA device, and says why', () => {
    const { info, reason, precision, compute, target } = choose('auto', []);
    expect(info.name).toContain('3 threads, avx2');
    expect({ kind: info.kind, reason, precision, compute, target }).toEqual({
      kind: 'cpu',
      reason: `CPU: ${REASON}`,
      precision: 'fp32',
      compute: undefined,
      target: 3,
    });
    expect(choose('auto', [T4]).reason).toBe(
      'CPU: expected a compute capability of 8.0 or more, found cuda:2 T4, compute capability 7.5, 85.0GB',
    );
  });

  it('is the CPU where that is asked for, and CUDA is not even looked for', () => {
    const machine = {
      cpu: [],
      get cuda(): never {
        throw new Error('looked for CUDA');
      },
    };
    expect(chooseDevice('cpu', { threads: 1, precision: undefined }, machine).reason).toBe('CPU: asked for');
  });

  it('is device N or an error, with the devices that there are', () => {
    expect(choose('cuda:1', [H100, A100]).info.name).toBe('A100');
    const refusal = (wish: DeviceWish, devices: CudaDevice[]): string => {
      try {
        return choose(wish, devices).info.name;
      } catch (error) {
        expect(error).toBeInstanceOf(DeviceError);
        return (error as Error).message;
      }
    };
    expect(refusal('cuda:2', [H100])).toBe(
      'device: expected one that can be used, got cuda:2: there is no such device that can be used\n' +
        'Devices found: cpu; cuda:0 H100, compute capability 9.0, 85.0GB. Use --device auto or --device cpu.',
    );
    expect(refusal('cuda:2', [H100, T4])).toContain('cuda:2 T4, compute capability 7.5');
    expect(refusal('cuda', [])).toContain(`got cuda: ${REASON}\nDevices found: cpu. Use`);
  });
});

describe('the precision', () => {
  it.each([
    ['bf16', 'bf16'],
    ['fp16', 'f16'],
    ['tf32', 'f32'],
    ['fp32', 'f32'],
  ] as const)('%s computes in %s on CUDA', (precision, compute) =>
    expect(choose('cuda', [H100], precision)).toMatchObject({ precision, compute }),
  );

  it('is fp32 on the CPU, or an error that says why the CPU computes', () => {
    expect(choose('cpu', [H100], 'fp32').precision).toBe('fp32');
    for (const precision of ['bf16', 'fp16', 'tf32'] as const) {
      expect(() => choose('cpu', [H100], precision)).toThrow(ConfigError);
      expect(() => choose('auto', [], precision)).toThrow(
        `precision: expected fp32, the only one of the CPU, got ${precision}\nWhat computes is the CPU (${REASON})`,
      );
    }
  });

  it('is fp32 or tf32 where whole models are trained', () => {
    const machine = { cpu: [], cuda: { found: true, reason: '', lacking: '', devices: [H100] } };
    expect(chooseFloat32Device('auto', { threads: 1 }, machine).precision).toBe('fp32');
    expect(chooseFloat32Device('auto', { threads: 1, precision: 'tf32' }, machine).precision).toBe('tf32');
    expect(() => chooseFloat32Device('auto', { threads: 1, precision: 'bf16' }, machine)).toThrow(ConfigError);
  });
});

describe('planning', () => {
  it.each([
    ['auto', undefined, 'cpu', 'fp32'],
    ['auto', 'bf16', 'cuda', 'bf16'],
    ['cuda', undefined, 'cuda', 'bf16'],
    ['cuda:1', 'fp32', 'cuda', 'fp32'],
    ['cpu', undefined, 'cpu', 'fp32'],
  ] as const)('for %s and %s needs no device: %s, %s', (wish, given, kind, precision) => {
    const device = planDevice(wish, { threads: 2, precision: given });
    expect({ kind: device.info.kind, precision: device.precision }).toEqual({ kind, precision });
    expect(device.target).toEqual(kind === 'cpu' ? 2 : { device: 'cuda', threads: 2, workspaceBytes: 64 * 2 ** 20 });
  });
});
