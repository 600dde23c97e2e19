// What `npm run parity` does, on the part of the reference's results that lies in test/fixtures.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import {
  readSafetensorsHeader,
  readTensorBytes,
  readTensorFloat32,
  writeSafetensors,
} from '../../lib/io/safetensors.js';
import { chooseDevice, type DeviceWish } from '../../lib/pipeline/device.js';
import type { Check } from '../parity/checks.js';
import { discover, resultsIn } from '../parity/discover.js';
import { runParity } from '../parity/runParity.js';
import { testDevice } from '../support/nativeRun.js';

const fixtures = fileURLToPath(new URL('../fixtures', import.meta.url));
const found = discover(fixtures);

const threads = availableParallelism();
/** On CUDA float32, with three times the bounds. */
const device = chooseDevice(testDevice() as DeviceWish, { threads, precision: 'fp32' });

async function checksOf(filter: string, dir: string = fixtures): Promise<Check[]> {
  const checks: Check[] = [];
  await runParity(dir, {
    threads,
    device,
    filter,
    onCheck: (check) => void checks.push(check),
    onSkip: () => {},
  });
  return checks;
}

async function expectAllPassed(filter: string): Promise<void> {
  const checks = await checksOf(filter);
  expect(checks.length).toBeGreaterThan(0);
  expect(checks.filter(({ passed }) => !passed)).toEqual([]);
}

for (const pipeline of found.pipelines) {
  const { name } = pipeline;
  describe(`${name} equals the reference`, () => {
    it.each(resultsIn(pipeline).map((file) => file.replace(/\.safetensors$/, '')))('%s', (result) =>
      expectAllPassed(`${name}/${result}`),
    );
  });
}

describe('adapters of other programs', () => {
  it('of three kinds are stored', () => {
    expect(found.foreign.map(({ name }) => name)).toEqual(
      ['kohya-sd15', 'lycoris-sd15', 'peft-sd15'].map((name) => `interop/${name}`),
    );
  });

  it.each(found.foreign.map(({ name }) => name))('%s', expectAllPassed);
});

describe('a reference with other numbers', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tlora-parity-'));
  afterAll(() => rmSync(dir, { recursive: true }));

  /** The stored file with one tensor changed. */
  async function changed(name: string, key: string, change: (values: Float32Array) => void): Promise<void> {
    const { tensors, metadata } = readSafetensorsHeader(join(fixtures, 'expected-sd15', name));
    const copies = [...tensors.values()].map((ref) => {
      const data = ref.key === key ? readTensorFloat32(ref) : readTensorBytes(ref);
      if (data instanceof Float32Array) change(data);
      return { ...ref, data };
    });
    await writeSafetensors(join(dir, 'expected-sd15', name), copies, metadata);
  }

  it('fails in the line of the change, and there only', async () => {
    symlinkSync(join(fixtures, 'tiny-sd15'), join(dir, 'tiny-sd15'));
    mkdirSync(join(dir, 'expected-sd15'));
    await changed('unet.safetensors', 'out.t500', (values) => values.set(values.map((v) => v * (1 + 3e-5))));
    await changed('train-lora.safetensors', 'loss', (losses) => losses.set([losses[7]! * (1 + 3e-5)], 7));
    const failed = (await checksOf('', dir)).filter(({ passed }) => !passed);
    expect(failed.map(({ source, what, note }) => [source, what, note])).toEqual([
      ['sd15/train-lora', 'losses (20)', 'worst: step 8'],
      ['sd15/unet', 'out.t500 (1)', 'worst: out.t500'],
    ]);
  });
});

describe('starts', () => {
  it.each(found.singularValues.map((path) => basename(path, '.safetensors')))(
    '%s: the reference’s law',
    expectAllPassed,
  );
});

describe('the stored part of the reference', () => {
  it('has every kind of result', () => {
    const kinds = new Set(
      found.pipelines.flatMap((pipeline) => resultsIn(pipeline).map((name) => /^[a-z]+/.exec(name)![0])),
    );
    expect([...kinds].sort()).toEqual(['adapter', 'official', 'sample', 'schedulers', 'text', 'train', 'unet', 'vae']);
    expect(found.singularValues).toHaveLength(1);
  });
});
