import { defineConfig, type ViteUserConfig } from 'vitest/config';

// `check` needs neither the addon nor a built tree and takes seconds; `slow` is the same for tests that take longer; `native` loads
// the addon, one process at a time; `cuda` needs what scripts/emulate-cuda.mjs builds, `ptx` what scripts/run-ptx.mjs does.
const emulated = process.env.TLORA_PLANTED
  ? [{ test: { name: 'cuda', include: ['test/cuda/**/*.test.ts'], maxWorkers: 2, testTimeout: 60_000 } }]
  : [];
const planted = process.env.TLORA_PTX_PLANTED
  ? [{ test: { name: 'ptx', include: ['test/ptx/**/*.test.ts'], maxWorkers: 2, testTimeout: 60_000 } }]
  : [];
const withoutThreads = Boolean(process.env.TLORA_PLANTED || process.env.TLORA_PTX_PLANTED);

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'check',
          include: ['test/**/*.test.ts'],
          exclude: ['test/native/**', 'test/end-to-end/**', 'test/cuda/**', 'test/ptx/**', 'test/**/*.slow.test.ts'],
          pool: 'threads',
          isolate: false, // these tests share no state, and starting a process for each file costs more than they do
        },
      },
      {
        test: {
          name: 'slow',
          include: ['test/**/*.slow.test.ts'],
          exclude: ['test/native/**', 'test/end-to-end/**'],
          pool: 'threads',
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'native',
          setupFiles: process.env.TLORA_TRACE ? ['bench/gpu/recordTrace.ts'] : [],
          include: ['test/native/**/*.test.ts', 'test/end-to-end/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: withoutThreads ? 2 : 1, // an emulated device has no threads of its own
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      ...emulated,
      ...planted,
    ],
  },
});

export default config;
