import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { adapterLayout } from '../../lib/adapters/adapterLayout.js';
import { saveOfficialFile } from '../../lib/adapters/officialFile.js';
import { layoutOf, openAdapter, writeAdapter } from '../../lib/adapters/openAdapter.js';
import {
  readSafetensorsHeader,
  readTensorFloat32,
  type TensorToWrite,
  writeSafetensors,
} from '../../lib/io/safetensors.js';
import { adapterStore } from '../support/adapterStore.js';

const dir = mkdtempSync(join(tmpdir(), 'tlora-official-'));
afterAll(() => rmSync(dir, { recursive: true }));

const fixture = (name: string): string =>
  join(import.meta.dirname, '../fixtures/expected-sd15', name, 'pytorch_lora_weights.safetensors');
const VANILLA = fixture('official-lora');
const ORTHOGONAL = fixture('official-ortho_lora-last');
const FIRST = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1';

function tensorsOf(path: string): Map<string, { shape: number[]; values: Float32Array }> {
  const { tensors } = readSafetensorsHeader(path);
  return new Map([...tensors].sort().map(([key, ref]) => [key, { shape: ref.shape, values: readTensorFloat32(ref) }]));
}

describe('the authors’ files', () => {
  it.each([
    ['vanilla', VANILLA, false],
    ['orthogonal', ORTHOGONAL, true],
  ])('are read and written again without change: %s', async (_, path, orthogonal) => {
    const file = openAdapter(path);
    expect([file.info, file.orthogonal, file.drawn]).toEqual([null, orthogonal, null]);
    const layout = layoutOf(file);
    const store = adapterStore(layout);
    writeAdapter(file, layout, store);
    const copy = join(dir, 'copy.safetensors');
    await saveOfficialFile(copy, layout, store.value);
    expect(tensorsOf(copy)).toEqual(tensorsOf(path));
  });

  it('become our names and sizes', () => {
    const file = openAdapter(ORTHOGONAL);
    const theirs = tensorsOf(ORTHOGONAL);
    expect(file.layers.map((layer) => layer.path)).toContain(`${FIRST}.to_out.0`);
    const layer = file.layers.find(({ path }) => path === `${FIRST}.to_out.0`)!;
    const prefix = `${FIRST}.processor.to_out_lora`;
    const { values, shape } = theirs.get(`${prefix}.p_layer.weight`)!;
    expect([layer.out, layer.rank]).toEqual(shape);
    expect(file.change(`${layer.path}.lora_up.weight`)).toEqual(values);
    expect(file.start(`${layer.path}.lora_down.weight`)).toEqual(theirs.get(`${prefix}.base_q.weight`)!.values);
    expect(file.change(`${layer.path}.lora_lambda.weight`)).toEqual(theirs.get(`${prefix}.lambda_layer`)!.values);
  });

  it('may have the prefix unet.', async () => {
    const path = join(dir, 'prefixed.safetensors');
    const tensors = [...tensorsOf(VANILLA)].map(
      ([key, { shape, values }]): TensorToWrite => ({ key: `unet.${key}`, dtype: 'F32', shape, data: values }),
    );
    await writeSafetensors(path, tensors);
    expect(openAdapter(path).layers).toEqual(openAdapter(VANILLA).layers);
  });

  it('are refused when a factor is missing', async () => {
    const path = join(dir, 'incomplete.safetensors');
    const without = async (file: string, key: string): Promise<void> => {
      const kept = [...tensorsOf(file)].filter(([name]) => name !== `${FIRST}.processor.${key}`);
      await writeSafetensors(
        path,
        kept.map(([key, { shape, values }]): TensorToWrite => ({ key, dtype: 'F32', shape, data: values })),
      );
    };
    await without(VANILLA, 'to_q_lora.up.weight');
    expect(() => openAdapter(path)).toThrow("to_q_lora.up.weight': expected a matrix, got no such key");
    await without(ORTHOGONAL, 'to_q_lora.base_lambda');
    expect(() => openAdapter(path)).toThrow("to_q_lora.base_lambda': expected floating-point numbers [1, ");
  });

  it('cannot hold layers that the authors do not adapt', async () => {
    const layout = adapterLayout([{ path: 'mid_block.ff.net.2', in: 4, out: 4, rank: 2 }], false);
    await expect(saveOfficialFile(join(dir, 'x.safetensors'), layout, () => new Float32Array(8))).rejects.toThrow(
      "layer 'mid_block.ff.net.2': the authors' layout has only to_q, to_k, to_v and to_out.0",
    );
  });
});
