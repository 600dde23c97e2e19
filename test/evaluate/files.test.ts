import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  openEvaluatorFiles,
  readEvaluatorWeights,
  writeEvaluatorConfig,
  writeEvaluatorWeights,
} from '../../lib/evaluate/evaluatorFiles.js';
import type { GateFigures } from '../../lib/evaluate/gates.js';
import { networkLayout } from '../../lib/evaluate/network.js';
import { tinyEvaluators } from './tinyEvaluators.js';

const root = mkdtempSync(join(tmpdir(), 'tlora-evaluators-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a folder of evaluators', () => {
  const settings = tinyEvaluators();
  const dir = join(root, 'tiny');
  const { total } = networkLayout(settings.sizes);
  // Quarters are exact in float16; padding between tensors is 0 in what is read.
  const values = Float32Array.from({ length: total }, (_, i) => (i % 9) / 4);
  const gates = { identity: 1 } as GateFigures;

  it('keeps weights, sizes and gates, and checks its weights', async () => {
    const sha256 = await writeEvaluatorWeights(dir, settings.sizes, values);
    expect(() => openEvaluatorFiles(dir)).toThrow('expected a folder with config.json');
    await writeEvaluatorConfig(dir, { settings, gates, sha256 });
    const opened = openEvaluatorFiles(dir);
    expect(opened.config).toMatchObject({ sizes: settings.sizes, settings, gates, sha256 });
    for (const { offset, count } of opened.layout.entries.values())
      expect(opened.values.subarray(offset, offset + count)).toEqual(values.subarray(offset, offset + count));
  });

  it('refuses changed weights, and weights of another network', async () => {
    expect(() => readEvaluatorWeights(dir, { ...settings.sizes, identity: 4 })).toThrow('identity.1.weight');
    appendFileSync(join(dir, 'evaluators.safetensors'), 'x');
    expect(() => openEvaluatorFiles(dir)).toThrow('expected SHA-256');
  });

  it('says how to make one where there is none', () => {
    expect(() => openEvaluatorFiles(join(root, 'none'))).toThrow('npm run pretrain:evaluators');
  });
});
