// A LoRA in kohya's layout on every linear layer and 1×1 convolution of the UNet and the text encoder, against the model with merged weights.
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AdaptedModel, adaptableLayers, underscored } from '../../lib/adapters/modelLayers.js';
import {
  type GenerationAdapter,
  loadGenerationAdapter,
  openGenerationAdapter,
  textAdapters,
} from '../../lib/generate/adapter.js';
import type { Component } from '../../lib/io/modelFolder.js';
import { readTensorFloat32, type TensorToWrite, writeSafetensors } from '../../lib/io/safetensors.js';
import { encodePrompts, type TextAdapters } from '../../lib/pipeline/textStates.js';
import { standardNormals } from '../../lib/random/philox.js';
import { passOf, predict } from '../parity/adapter.js';
import { relativeError } from '../parity/checks.js';
import { openPipeline, type Pipeline } from '../parity/pipeline.js';
import { openReference } from '../parity/reference.js';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const model = join(fixtures, 'tiny-sd15');
const expected = join(fixtures, 'expected-sd15');

let dir = '';
let plain: Pipeline;
let merged: Pipeline;
let adapter: GenerationAdapter;

/** The LoRA of one model as kohya's tensors, and all of the model's tensors with it merged. */
function lora(component: Component, prefix: string): { tensors: TensorToWrite[]; whole: TensorToWrite[] } {
  const layers = [...adaptableLayers(component.tensors).values()].filter(({ path }) => path !== 'text_projection');
  const whole = new Map(
    [...component.tensors].map(([key, ref]) => [key, { shape: ref.shape, data: readTensorFloat32(ref) }]),
  );
  const tensors = layers.flatMap(({ path, in: width, out, convolution }, i): TensorToWrite[] => {
    const rank = 1 + (i % 3);
    const alpha = 0.5 * (1 + (i % 4));
    const up = standardNormals(i, 1, out * rank).map((v) => 0.2 * v);
    const down = standardNormals(i, 2, rank * width).map((v) => 0.2 * v);
    const { data } = whole.get(`${path}.weight`)!;
    for (let o = 0; o < out; o++)
      for (let at = 0; at < width; at++)
        for (let r = 0; r < rank; r++)
          data[o * width + at]! += (alpha / rank) * up[o * rank + r]! * down[r * width + at]!;
    const name = `${prefix}_${underscored(path)}`;
    const kernel = convolution ? [1, 1] : [];
    return [
      { key: `${name}.lora_up.weight`, dtype: 'F32', shape: [out, rank, ...kernel], data: up },
      { key: `${name}.lora_down.weight`, dtype: 'F32', shape: [rank, width, ...kernel], data: down },
      { key: `${name}.alpha`, dtype: 'F32', shape: [], data: Float32Array.of(alpha) },
    ];
  });
  const all = [...whole].map(([key, tensor]): TensorToWrite => ({ key, dtype: 'F32', ...tensor }));
  return { tensors, whole: all };
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-layers-'));
  plain = openPipeline({ name: 'plain', dir: model, expected, device: 1 });
  const { unet, textEncoder } = plain.model;
  const [ofUnet, ofText] = [lora(unet, 'lora_unet'), lora(textEncoder, 'lora_te')];
  const path = join(dir, 'lora.safetensors');
  await writeSafetensors(path, [...ofUnet.tensors, ...ofText.tensors]);
  cpSync(model, join(dir, 'merged'), { recursive: true });
  await writeSafetensors(join(dir, 'merged/unet/diffusion_pytorch_model.safetensors'), ofUnet.whole);
  await writeSafetensors(join(dir, 'merged/text_encoder/model.safetensors'), ofText.whole);
  merged = openPipeline({ name: 'merged', dir: join(dir, 'merged'), expected, device: 1 });
  adapter = openGenerationAdapter(plain.model, 1000, { path, strength: 1, force: false }, () => {});
});
afterAll(() => {
  for (const { session } of [plain, merged]) session.engine.dispose();
  rmSync(dir, { recursive: true });
});

describe('adapters of all layers', () => {
  it('of the UNet are what merging them gives', async () => {
    expect(adapter.file.layers.length).toBeGreaterThan(150);
    const reference = openReference(join(expected, 'unet.safetensors'));
    const theirs = await predict(merged, await passOf(merged, reference, 500));
    await loadGenerationAdapter(plain.session, plain.model.unet, adapter);
    const pass = await passOf(plain, reference, 500);
    const ours = await predict(plain, pass, adapter.sampled.layout, adapter.activeRank(999));
    expect(relativeError(ours, theirs)).toBeLessThan(1e-5);
    expect(relativeError(await predict(plain, pass), theirs)).toBeGreaterThan(0.1);
  });

  it('of the text encoder are what merging them gives, by their strength', async () => {
    const states = async (pipeline: Pipeline, adapters?: TextAdapters): Promise<Float32Array> =>
      (await encodePrompts(pipeline.session, pipeline.model, ['a photo of sks dog', ''], adapters)).states;
    const [theirs, alone] = [await states(merged), await states(plain)];
    const own = textAdapters(adapter);
    expect([...own.keys()]).toEqual(['text_encoder'] satisfies AdaptedModel[]);
    expect(relativeError(await states(plain, own), theirs)).toBeLessThan(1e-5);
    const none = new Map([...own].map(([name, one]) => [name, { ...one, strength: 0 }]));
    expect(relativeError(await states(plain, none), alone)).toBeLessThan(1e-6);
    expect(relativeError(alone, theirs)).toBeGreaterThan(0.1);
  });
});
