import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type AdapterDtype, openAdapterFile, saveAdapter } from '../../lib/adapters/adapterFile.js';
import { type AdapterLayout, adapterLayout } from '../../lib/adapters/adapterLayout.js';
import type { AdapterInfo } from '../../lib/adapters/adapterMetadata.js';
import { type AdapterVariant, DEFAULT_START, isOrthogonal, type LinearShape } from '../../lib/adapters/adapterSpec.js';
import { expectBase, layoutOf, openAdapter, writeAdapter } from '../../lib/adapters/openAdapter.js';
import { FileFormatError } from '../../lib/errors.js';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '../../lib/io/halfFloat.js';
import {
  readSafetensorsHeader,
  readTensorFloat32,
  type TensorToWrite,
  writeSafetensors,
} from '../../lib/io/safetensors.js';
import { type AdapterStore, adapterStore } from '../support/adapterStore.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const dir = mkdtempSync(join(tmpdir(), 'tlora-adapter-'));
afterAll(() => rmSync(dir, { recursive: true }));

const LAYERS = [
  { path: 'mid_block.attn1.to_k', in: 3, out: 7, rank: 3 },
  { path: 'mid_block.attn1.to_q', in: 8, out: 7, rank: 4 },
];

function info(variant: AdapterVariant): AdapterInfo {
  return {
    spec: { variant, rank: 4, start: { ...DEFAULT_START, which: 'middle' }, orthogonal: 'retract' },
    schedule: { T: 1000, maxRank: 4, minRank: 2, alpha: 0.5 },
    seed: 2 ** 40 + 1,
    token: 'sks',
    className: 'dog "Ünï"',
    prompt: 'a photo of {0}',
    baseFingerprint: 'f'.repeat(64),
    training: { steps: 800, learningRate: 1e-4, resolution: 512, captions: ['one', 'two'] },
  };
}

/** Values near a start: both in float32. */
function filled(layout: AdapterLayout): AdapterStore {
  const store = adapterStore(layout);
  const random = pseudoRandom(3);
  for (const { offset, count } of layout.flat.entries.values()) {
    const start = Float32Array.from({ length: count }, () => random.normal() / 10);
    store.writeState('base', offset, start);
    store.writeState(
      'params',
      offset,
      start.map((v) => v + 1e-3 * random.normal()),
    );
  }
  return store;
}

async function saved(
  variant: AdapterVariant,
  options: { dtype?: AdapterDtype; compact?: boolean } = {},
): Promise<{ path: string; layout: AdapterLayout; store: AdapterStore }> {
  const layout = adapterLayout(LAYERS, isOrthogonal(variant));
  const store = filled(layout);
  const path = join(dir, `${variant}-${options.dtype}-${options.compact}.safetensors`);
  await saveAdapter(path, layout, info(variant), store.value, options);
  return { path, layout, store };
}

const ROUND = {
  float32: (v: Float32Array): Float32Array => v,
  float16: (v: Float32Array): Float32Array => float16ToFloat32(float32ToFloat16(v)),
  bfloat16: (v: Float32Array): Float32Array => bfloat16ToFloat32(float32ToBfloat16(v)),
};

describe('adapter files', () => {
  it('have the documented keys, shapes, types and metadata', async () => {
    const { path } = await saved('tlora', { dtype: 'float16' });
    const { tensors, metadata } = readSafetensorsHeader(path);
    const shown = [...tensors.values()].map(({ key, dtype, shape }) => `${key} ${dtype} [${shape}]`).sort();
    expect(shown.slice(0, 6)).toEqual([
      'mid_block.attn1.to_k.base_down.weight F16 [3,3]',
      'mid_block.attn1.to_k.base_lambda.weight F16 [3]',
      'mid_block.attn1.to_k.base_up.weight F16 [7,3]',
      'mid_block.attn1.to_k.lora_down.weight F16 [3,3]',
      'mid_block.attn1.to_k.lora_lambda.weight F16 [3]',
      'mid_block.attn1.to_k.lora_up.weight F16 [7,3]',
    ]);
    expect(shown).toHaveLength(12);
    expect(metadata['tlora.format_version']).toBe('1');
    expect(JSON.parse(metadata['tlora.start']!)).toEqual({
      from: 'random',
      which: 'middle',
      frames: 'haar',
      stored: true,
      generator: 'philox4x32-10',
      version: 1,
    });
  });

  for (const variant of ['lora', 'vanilla', 'ortho', 'tlora'] as const) {
    for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
      it(`reload what they were saved with: ${variant} in ${dtype}`, async () => {
        const { path, layout, store } = await saved(variant, { dtype });
        const file = openAdapter(path);
        const expectedSpec = isOrthogonal(variant) ? info(variant).spec.start : DEFAULT_START;
        expect(file.info).toEqual({ ...info(variant), spec: { ...info(variant).spec, start: expectedSpec } });
        expect(file.layers).toEqual(LAYERS);
        expect(layoutOf(file).flat).toEqual(layout.flat);
        const loaded = adapterStore(layout);
        writeAdapter(file, layout, loaded);
        for (const name of layout.flat.entries.keys()) {
          const [params, base] = [store.value('params', name), store.value('base', name)];
          if (!layout.orthogonal) {
            expect(loaded.value('params', name)).toEqual(ROUND[dtype](params));
            continue;
          }
          const change = ROUND[dtype](params.map((v, i) => v - base[i]!));
          const start = ROUND[dtype](base);
          expect(loaded.value('base', name)).toEqual(start);
          expect(loaded.value('params', name)).toEqual(start.map((v, i) => v + change[i]!));
        }
      });
    }
  }

  it('keep differences in float16 to 11 bits of the difference, not of the value', async () => {
    const { path, layout, store } = await saved('tlora', { dtype: 'float16' });
    const loaded = adapterStore(layout);
    writeAdapter(openAdapter(path), layout, loaded);
    const name = 'mid_block.attn1.to_q.lora_up.weight';
    const moved = (s: AdapterStore): number[] => {
      const base = s.value('base', name);
      return [...s.value('params', name)].map((v, i) => v - base[i]!);
    };
    const [got, expected] = [moved(loaded), moved(store)];
    const error = Math.hypot(...got.map((v, i) => v - expected[i]!)) / Math.hypot(...expected);
    expect(error).toBeLessThan(2 ** -10);
  });

  it('leave out the start when compact, and then take it from base', async () => {
    const { path, layout, store } = await saved('ortho', { compact: true });
    expect([...readSafetensorsHeader(path).tensors.keys()].filter((key) => key.includes('base'))).toEqual([]);
    const file = openAdapter(path);
    expect(file.drawn).toMatchObject({ seed: file.info!.seed, assumed: false });
    const loaded = adapterStore(layout);
    loaded.writeState('base', 0, store.buffers.get('base')!);
    writeAdapter(file, layout, loaded);
    for (const name of layout.flat.entries.keys()) {
      const base = store.value('base', name);
      const change = store.value('params', name).map((v, i) => v - base[i]!);
      expect(loaded.value('params', name)).toEqual(base.map((v, i) => v + change[i]!));
    }
  });
});

type Change = (tensors: TensorToWrite[], metadata: Record<string, string>) => void;

/** Rewrites a saved file with other tensors or metadata. */
async function changed(variant: AdapterVariant, change: Change): Promise<string> {
  const { path } = await saved(variant);
  const file = readSafetensorsHeader(path);
  const tensors = [...file.tensors.values()].map((ref) => ({ ...ref, data: readTensorFloat32(ref) }) as TensorToWrite);
  const metadata = { ...file.metadata };
  change(tensors, metadata);
  const other = join(dir, 'changed.safetensors');
  await writeSafetensors(other, tensors, metadata);
  return other;
}

const without =
  (ending: string): Change =>
  (tensors) => {
    tensors.splice(
      tensors.findIndex((tensor) => tensor.key.endsWith(ending)),
      1,
    );
  };
const withTensor =
  (key: string): Change =>
  (tensors) => {
    tensors.push({ key, dtype: 'F32', shape: [1], data: new Float32Array(1) });
  };
const withShape =
  (ending: string, shape: number[]): Change =>
  (tensors) => {
    Object.assign(tensors.find(({ key }) => key.endsWith(ending))!, { shape });
  };
const withMetadata =
  (fields: Record<string, string>): Change =>
  (_, metadata) => {
    for (const [name, value] of Object.entries(fields)) metadata[`tlora.${name}`] = value;
  };
const schedule = (maxRank: number): string => JSON.stringify({ T: 1000, maxRank, minRank: 2, alpha: 1 });
const otherStart = JSON.stringify({ ...DEFAULT_START, stored: false, generator: 'philox4x32-10', version: 9 });

const BAD: [string, string, Change][] = [
  ['no down', "to_k.lora_down.weight': expected a matrix, got no such key", without('to_k.lora_down.weight')],
  [
    'no start',
    "base_lambda.weight': expected floating-point numbers [4], got no such key",
    without('q.base_lambda.weight'),
  ],
  ['a key of another kind', "tensor 'x': expected only adapter keys", withTensor('x')],
  ['a start alone', "b.to_v.lora_up.weight': expected a matrix, got no such key", withTensor('b.to_v.base_up.weight')],
  [
    'a wrong shape',
    'expected floating-point numbers [4], got F32 [1, 4]',
    withShape('to_q.lora_lambda.weight', [1, 4]),
  ],
  ['a newer version', 'format version: expected 1, got 2', withMetadata({ format_version: '2' })],
  ['another schedule', 'tlora.schedule: expected maxRank 4', withMetadata({ schedule: schedule(8) })],
  ['a broken schedule', 'tlora.schedule: expected a JSON object, got "{"', withMetadata({ schedule: '{' })],
  ['a fractional seed', 'tlora.seed: expected a whole number from 0 up, got "1.5"', withMetadata({ seed: '1.5' })],
  ['an unknown variant', 'expected one of lora, vanilla, ortho, tlora, got "dora"', withMetadata({ variant: 'dora' })],
  ['a variant without start', 'expected none of that name, got one', withMetadata({ variant: 'lora' })],
  ['another rank', "to_q': expected 5, got 4", withMetadata({ rank: '5', schedule: schedule(5) })],
  [
    'another generator',
    'expected philox4x32-10 version 1, got philox4x32-10 version 9',
    withMetadata({ start: otherStart }),
  ],
];

describe('bad adapter files', () => {
  it.each(BAD)('are refused for %s', async (_, message, change) => {
    const path = await changed('tlora', change);
    expect(() => openAdapterFile(path)).toThrow(FileFormatError);
    expect(() => openAdapterFile(path)).toThrow(message);
    expect(() => openAdapterFile(path)).toThrow(path);
  });

  it('are refused for a field that is absent', async () => {
    const path = await changed('vanilla', (_, metadata) => {
      delete metadata['tlora.seed'];
    });
    expect(() => openAdapterFile(path)).toThrow('metadata tlora.seed: expected a text, got nothing');
  });

  it('are refused when they are no adapters', async () => {
    const path = join(dir, 'model.safetensors');
    await writeSafetensors(path, [{ key: 'conv_in.weight', dtype: 'F32', shape: [1], data: new Float32Array(1) }]);
    expect(() => openAdapter(path)).toThrow("expected an adapter, got keys such as 'conv_in.weight'");
    await writeSafetensors(path, []);
    expect(() => openAdapter(path)).toThrow('got an empty file');
  });
});

describe('expectBase', () => {
  const linears: Map<string, LinearShape> = new Map(LAYERS.map((layer) => [layer.path, layer]));

  it('accepts the base, refuses another unless forced', async () => {
    const file = openAdapter((await saved('lora')).path);
    expectBase(file, { linears, fingerprint: () => 'f'.repeat(64) });
    expect(() => expectBase(file, { linears, fingerprint: () => 'e' })).toThrow(
      /expected fingerprint f{64}, got e[\s\S]*--force/,
    );
    expectBase(file, { linears, fingerprint: () => 'e' }, { force: true });
  });

  it('refuses layers that the model lacks or has in another size, forced or not', async () => {
    const file = openAdapter((await saved('lora')).path);
    const base = { fingerprint: () => 'f'.repeat(64) };
    const wider: Map<string, LinearShape> = new Map([
      ...linears,
      ['mid_block.attn1.to_q', { path: '', in: 9, out: 7 }],
    ]);
    expect(() => expectBase(file, { ...base, linears: wider }, { force: true })).toThrow(
      "layer 'mid_block.attn1.to_q': expected a linear layer [7, 8] in the model, got [7, 9]",
    );
    expect(() => expectBase(file, { ...base, linears: new Map() })).toThrow('in the model, got no such layer');
  });
});
