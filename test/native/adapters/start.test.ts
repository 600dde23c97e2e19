// Starts drawn by the engine: the same as in float64, for any number of threads, and again from what a compact file keeps.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { saveAdapter } from '../../../lib/adapters/adapterFile.js';
import { adapterLayout } from '../../../lib/adapters/adapterLayout.js';
import {
  type AdapterStart,
  type AdapterVariant,
  adaptedLayers,
  isOrthogonal,
} from '../../../lib/adapters/adapterSpec.js';
import { openAdapter, writeAdapter } from '../../../lib/adapters/openAdapter.js';
import { drawStart, type RunGraph } from '../../../lib/adapters/start.js';
import type { Value } from '../../../lib/graph/graph.js';
import { type AdapterStore, adapterStore, interpretedRun } from '../../support/adapterStore.js';
import { relativeError } from '../../support/checkKernel.js';
import { runNative } from '../../support/nativeRun.js';
import { pseudoRandom } from '../../support/pseudoRandom.js';

const LINEARS = [
  { path: 'square', in: 24, out: 24 },
  { path: 'wide', in: 40, out: 24 },
  { path: 'tall', in: 17, out: 30 },
];
const { layers: LAYERS } = adaptedLayers(LINEARS, 6);
const random = pseudoRandom(21);
const WEIGHTS = new Map(
  LINEARS.map(({ path, in: width, out }) => [
    `unet/${path}.weight`,
    Float64Array.from({ length: width * out }, () => Math.fround(random.normal())),
  ]),
);
const TENSORS = new Map(LINEARS.map((l) => [`${l.path}.weight`, { dtype: 'F32', shape: [l.out, l.in] }]));

function nativeRun(threads: number): RunGraph {
  return (graph, feeds) => {
    const leaves = new Map<Value, Float64Array>();
    for (const leaf of graph.leaves.values()) {
      const data = leaf.leaf?.kind === 'weight' ? WEIGHTS.get(leaf.leaf.name) : feeds[leaf.name];
      if (data) leaves.set(leaf, Float64Array.from(data));
    }
    return runNative(graph, leaves, { threads });
  };
}

async function draw(variant: AdapterVariant, start: AdapterStart, runGraph: RunGraph): Promise<AdapterStore> {
  const layout = adapterLayout(LAYERS, isOrthogonal(variant));
  const store = adapterStore(layout);
  const weights = { component: 'unet', tensors: TENSORS };
  const spec = { variant, rank: 6, start, orthogonal: 'init' as const };
  await drawStart({ layout, spec, seed: 9, runGraph, state: store, weights });
  return store;
}

const HAAR: AdapterStart = { from: 'random', which: 'last', frames: 'haar' };

test.each([
  ['vanilla', HAAR],
  ['tlora', HAAR],
  ['tlora', { ...HAAR, which: 'middle', frames: 'reference' }],
  ['ortho', { ...HAAR, from: 'weight', which: 'principal' }],
] as [AdapterVariant, AdapterStart][])('the start of %s is what it means: %o', async (variant, start) => {
  const expected = await draw(variant, start, interpretedRun(WEIGHTS));
  const one = await draw(variant, start, nativeRun(1));
  const two = await draw(variant, start, nativeRun(2));
  for (const name of adapterLayout(LAYERS, isOrthogonal(variant)).flat.entries.keys()) {
    expect(relativeError(one.value('params', name), expected.value('params', name)), name).toBeLessThan(1e-6);
    expect(two.value('params', name)).toEqual(one.value('params', name));
  }
});

test('a compact file and a new draw give the values that were saved', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tlora-compact-'));
  try {
    const layout = adapterLayout(LAYERS, true);
    const trained = await draw('tlora', HAAR, nativeRun(2));
    for (const { offset, count } of layout.flat.entries.values()) {
      const moved = trained.readState('params', offset, count).map((v) => v + 1e-3 * random.normal());
      trained.writeState('params', offset, moved);
    }
    const info = {
      spec: { variant: 'tlora', rank: 6, start: HAAR, orthogonal: 'init' },
      schedule: { T: 1000, maxRank: 6, minRank: 3, alpha: 1 },
      seed: 9,
      token: 'sks',
      className: 'dog',
      prompt: '{0}',
      baseFingerprint: '',
      training: {},
    } as const;
    const [compact, full] = [true, false].map((c) => join(dir, `${c}.safetensors`)) as [string, string];
    await saveAdapter(compact, layout, info, trained.value, { compact: true });
    await saveAdapter(full, layout, info, trained.value);
    const again = await draw('tlora', HAAR, nativeRun(1));
    writeAdapter(openAdapter(compact), layout, again);
    const whole = adapterStore(layout);
    writeAdapter(openAdapter(full), layout, whole);
    for (const name of layout.flat.entries.keys()) {
      expect(again.value('params', name)).toEqual(whole.value('params', name));
      expect(relativeError(again.value('params', name), trained.value('params', name))).toBeLessThan(1e-7);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});
