import { describe, expect, it } from 'vitest';
import type { AddonInfo } from '../../lib/addon/surface.js';
import { type DoctorReport, doctor, type Finding, type Machine } from '../../lib/cli/doctor.js';

const healthy: Machine = {
  nodeVersion: '20.19.0',
  candidates: ['a/tlora.node', 'b/tlora.node'],
  exists: (path) => path.startsWith('b/'),
  version: (program) => `${program} 1.0`,
  tryOpen: () => undefined,
  info: () => ({
    cpu: ['avx2', 'fma'],
    planFormat: 1,
    backendAbi: 1,
    compiler: 'gcc 12',
    napi: 9,
    cuda: { devices: [], found: false, reason: 'no NVIDIA driver', lacking: '' },
  }),
  sharpVersion: async () => '0.35',
};

const find = ({ findings }: DoctorReport, name: string): Finding | undefined => findings.find((f) => f.name === name);

describe('doctor', () => {
  it('finds a healthy machine healthy, and says why CUDA is not used', async () => {
    const report = await doctor(healthy);
    expect(report.ok).toBe(true);
    expect(find(report, 'addon')).toEqual({ name: 'addon', ok: true, text: 'b/tlora.node' });
    expect(find(report, 'instructions')?.text).toBe('avx2 fma');
    expect(find(report, 'CUDA')?.text).toBe('not used: no NVIDIA driver');
  });

  it('lists CUDA devices, what an old one lacks, and what they go without', async () => {
    const device = { index: 0, name: 'H100', capability: '9.0', memoryBytes: 85e9, workspaceBytes: 0 };
    const devices = [device, { ...device, index: 1, name: 'T4', capability: '7.5', memoryBytes: 16e9 }];
    const info = (): AddonInfo => ({
      ...healthy.info(),
      cuda: { found: true, reason: '', lacking: 'no NVRTC', devices },
    });
    const report = await doctor({ ...healthy, info });
    expect(report.findings.filter(({ name }) => name === 'CUDA').map(({ text }) => text)).toEqual([
      'cuda:0 H100, compute capability 9.0, 85.0GB',
      'not used: expected a compute capability of 8.0 or more, found cuda:1 T4, compute capability 7.5, 16.0GB',
      'no NVRTC',
    ]);
  });

  it('names the build for a missing addon, and the tools it lacks', async () => {
    const version: Machine['version'] = (program) => (program === 'cmake' ? undefined : 'x');
    const report = await doctor({ ...healthy, exists: () => false, version });
    expect(report.ok).toBe(false);
    expect(find(report, 'addon')).toMatchObject({
      text: 'not found: looked for a/tlora.node and b/tlora.node',
      fix: 'Build it: npx tlora build',
    });
    expect(find(report, 'g++')).toEqual({ name: 'g++', text: 'x' });
    expect(find(report, 'cmake')).toMatchObject({ ok: false, text: 'not found; building the addon needs it' });
  });

  it('survives an addon that kills its process, and one of another version', async () => {
    const killed = await doctor({ ...healthy, tryOpen: () => 'SIGILL' });
    expect(find(killed, 'addon')?.text).toBe('b/tlora.node cannot be opened: SIGILL');
    const info = (): never => {
      throw new Error('reads plan format 2\nhint');
    };
    expect(find(await doctor({ ...healthy, info }), 'addon')?.text).toBe('reads plan format 2');
  });

  it('does not ask for build tools when the addon is there', async () => {
    const report = await doctor({ ...healthy, version: () => undefined });
    expect(report.ok).toBe(true);
    expect(find(report, 'cmake')?.text).toBe('not found; only building the addon needs it');
  });

  it('refuses an old Node and a missing sharp', async () => {
    const old = await doctor({ ...healthy, nodeVersion: '20.9.0' });
    expect(find(old, 'Node.js')).toEqual({
      name: 'Node.js',
      ok: false,
      text: '20.9.0',
      fix: 'Install Node.js 20.19 or newer.',
    });
    expect((await doctor({ ...healthy, nodeVersion: '22.0.0' })).ok).toBe(true);
    const sharpVersion = async (): Promise<string> => {
      throw new Error('Could not load the sharp module');
    };
    expect(find(await doctor({ ...healthy, sharpVersion }), 'sharp')).toMatchObject({ ok: false });
  });
});
