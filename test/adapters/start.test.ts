import { describe, expect, it } from 'vitest';
import { type AdapterLayout, adapterLayout } from '../../lib/adapters/adapterLayout.js';
import {
  type AdaptedLayer,
  type AdapterSpec,
  adaptedLayers,
  DEFAULT_START,
  isOrthogonal,
} from '../../lib/adapters/adapterSpec.js';
import { drawStart, startStream } from '../../lib/adapters/start.js';
import { type AdapterStore, adapterStore, interpretedRun } from '../support/adapterStore.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const LINEARS = [
  { path: 'square', in: 12, out: 12 },
  { path: 'wide', in: 14, out: 9 },
  { path: 'tall', in: 6, out: 13 },
  { path: 'square.too', in: 12, out: 12 },
  { path: 'narrow', in: 3, out: 12 },
];
const { layers: LAYERS } = adaptedLayers(LINEARS, 4);

const random = pseudoRandom(11);
const WEIGHTS = new Map(
  LINEARS.map(({ path, in: width, out }) => [
    `unet/${path}.weight`,
    Float64Array.from({ length: width * out }, () => random.normal()),
  ]),
);
const TENSORS = new Map(LINEARS.map((l) => [`${l.path}.weight`, { dtype: 'F32', shape: [l.out, l.in] }]));

type Changes = Partial<Omit<AdapterSpec, 'start'>> & { start?: Partial<AdapterSpec['start']> };

async function draw(
  changes: Changes,
  layers: readonly AdaptedLayer[] = LAYERS,
  seed = 5,
): Promise<{ layout: AdapterLayout; store: AdapterStore }> {
  const spec: AdapterSpec = {
    variant: 'tlora',
    rank: 4,
    orthogonal: 'init',
    ...changes,
    start: { ...DEFAULT_START, ...changes.start },
  };
  const layout = adapterLayout(layers, isOrthogonal(spec.variant));
  const store = adapterStore(layout);
  await drawStart({
    layout,
    spec,
    seed,
    runGraph: interpretedRun(WEIGHTS),
    state: store,
    weights: { component: 'unet', tensors: TENSORS },
  });
  return { layout, store };
}

/** Largest distance of `count` vectors' inner products from the identity. */
function distance(count: number, at: (vector: number, i: number) => number, length: number): number {
  let worst = 0;
  for (let a = 0; a < count; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = 0;
      for (let i = 0; i < length; i++) sum += at(a, i) * at(b, i);
      worst = Math.max(worst, Math.abs(sum - Number(a === b)));
    }
  }
  return worst;
}

function expectFrames(store: AdapterStore): void {
  for (const { path, in: width, out, rank } of LAYERS) {
    const up = store.value('params', `${path}.lora_up.weight`);
    const down = store.value('params', `${path}.lora_down.weight`);
    const lambda = [...store.value('params', `${path}.lora_lambda.weight`)];
    expect(
      distance(rank, (a, i) => up[i * rank + a]!, out),
      `${path} up`,
    ).toBeLessThan(1e-6);
    expect(
      distance(rank, (a, i) => down[a * width + i]!, width),
      `${path} down`,
    ).toBeLessThan(1e-6);
    expect(lambda).toEqual([...lambda].sort((a, b) => b - a));
    for (const kind of ['lora_up', 'lora_down', 'lora_lambda']) {
      const name = `${path}.${kind}.weight`;
      expect(store.value('base', name)).toEqual(store.value('params', name));
    }
  }
}

describe('drawStart', () => {
  it.each([
    ['last, Haar', {}],
    ['middle, Haar', { start: { which: 'middle' } }],
    ['principal, as the authors draw', { start: { which: 'principal', frames: 'reference' } }],
    ['last, as the authors draw', { start: { frames: 'reference' } }],
    ['from the weights', { start: { from: 'weight', which: 'principal' } }],
  ] as [string, Changes][])('gives orthonormal frames with descending values: %s', async (_, changes) => {
    expectFrames((await draw(changes)).store);
  });

  it('takes singular triples of the weight, without 1/r', async () => {
    const { store } = await draw({ start: { from: 'weight', which: 'principal' } });
    const w = WEIGHTS.get('unet/narrow.weight')!; // rank 3 of 12 × 3: the whole matrix
    const [up, down, lambda] = ['up', 'down', 'lambda'].map((kind) =>
      store.value('params', `narrow.lora_${kind}.weight`),
    );
    for (let i = 0; i < 12; i++) {
      for (let j = 0; j < 3; j++) {
        const sum = [0, 1, 2].reduce((s, a) => s + up![i * 3 + a]! * lambda![a]! * down![a * 3 + j]!, 0);
        expect(sum).toBeCloseTo(w[i * 3 + j]!, 5);
      }
    }
  });

  it('differs between Haar frames and the authors’ only where a layer is not square', async () => {
    const [haar, reference] = [await draw({}), await draw({ start: { frames: 'reference' } })];
    const same = (name: string): boolean =>
      haar.store.value('params', name).join() === reference.store.value('params', name).join();
    expect(same('square.lora_down.weight')).toBe(true);
    expect([same('wide.lora_down.weight'), same('wide.lora_up.weight')]).toEqual([false, true]);
    expect([same('tall.lora_down.weight'), same('tall.lora_up.weight')]).toEqual([true, false]);
  });

  it.each([{}, { start: { frames: 'reference' } }, { variant: 'vanilla' }] as Changes[])(
    'gives a layer the same start whatever the other layers: %o',
    async (changes) => {
      const all = await draw(changes);
      const alone = await draw(changes, [LAYERS[3]!, LAYERS[1]!]);
      for (const name of alone.layout.flat.entries.keys()) {
        expect(alone.store.value('params', name)).toEqual(all.store.value('params', name));
      }
      const name = 'square.lora_down.weight';
      expect(all.store.value('params', 'square.too.lora_down.weight')).not.toEqual(all.store.value('params', name));
      expect((await draw(changes, LAYERS, 6)).store.value('params', name)).not.toEqual(all.store.value('params', name));
    },
  );

  it('starts plain LoRA with up 0 and down of standard deviation 1/r', async () => {
    const layers = adaptedLayers([{ path: 'x', in: 300, out: 20 }], 8).layers;
    const { store } = await draw({ variant: 'lora', rank: 8 }, layers);
    const down = store.value('params', 'x.lora_down.weight');
    const std = Math.sqrt(down.reduce((sum, v) => sum + v * v, 0) / down.length);
    expect(Math.abs(std * 8 - 1)).toBeLessThan(4 / Math.sqrt(2 * down.length));
    expect(store.value('params', 'x.lora_up.weight').every((v) => v === 0)).toBe(true);
    expect(store.buffers.get('base')!.every(Number.isNaN)).toBe(true);
  });

  it('reports progress and stops on a signal', async () => {
    const layout = adapterLayout(LAYERS, true);
    const spec: AdapterSpec = { variant: 'ortho', rank: 4, start: DEFAULT_START, orthogonal: 'init' };
    const common = { layout, spec, seed: 1, runGraph: interpretedRun(), state: adapterStore(layout) };
    const seen: number[][] = [];
    await drawStart({ ...common, onProgress: (done, total) => seen.push([done, total]) });
    expect(seen.map(([done]) => done)).toEqual(seen.map((_, i) => i + 1));
    expect(seen.at(-1)![1]).toBe(seen.length);
    await expect(drawStart({ ...common, signal: AbortSignal.abort('enough') })).rejects.toBe('enough');
  });

  it('says when the weights are missing', async () => {
    const layout = adapterLayout(LAYERS, true);
    const start = { ...DEFAULT_START, from: 'weight' as const };
    const spec: AdapterSpec = { variant: 'ortho', rank: 4, start, orthogonal: 'init' };
    await expect(
      drawStart({ layout, spec, seed: 1, runGraph: interpretedRun(), state: adapterStore(layout) }),
    ).rejects.toThrow('needs the checkpoint');
  });
});

it('names streams by 53 bits of the SHA-256 of a value’s name', () => {
  expect(startStream('abc')).toBe(Number(0xba7816bf8f01cfean >> 11n)); // the standard's example digest
  expect(Number.isSafeInteger(startStream('x'))).toBe(true);
});
