// The algorithms that the libraries' wrappers choose for a shape: kept as text, taken again. Needs TLORA_CUDA_LIBRARY.
import { expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine } from '../../lib/addon/surface.js';
import { createGraph, type Graph, input, result, state } from '../../lib/graph/graph.js';
import { attention } from '../../lib/ops/attention.js';
import { conv2d } from '../../lib/ops/conv2d.js';
import { linear } from '../../lib/ops/linear.js';
import { selfAttention } from '../../lib/ops/selfAttention.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import { grad } from '../../lib/transform/grad.js';

/** y = conv(x) · wᵀ: one convolution and one product. */
function network(): Graph {
  const graph = createGraph();
  const x = input(graph, 'x', [1, 4, 4, 3]);
  const h = conv2d(x, input(graph, 'kernel', [5, 3, 3, 3]), null, { pad: 1 });
  result(graph, 'y', linear(h, input(graph, 'w', [2, 5]), null));
  return graph;
}

async function withEngine<T>(body: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = loadAddon().createEngine({ threads: 1, device: 'cuda' });
  try {
    return await body(engine);
  } finally {
    engine.dispose();
  }
}

async function run(engine: Engine): Promise<Float32Array> {
  const program = engine.load(encodePlan(makePlan(network(), { device: 'cuda', threads: 1, workspaceBytes: 0 })));
  program.write(
    'x',
    Float32Array.from({ length: 48 }, (_, i) => Math.sin(i)),
  );
  program.write(
    'kernel',
    Float32Array.from({ length: 135 }, (_, i) => Math.cos(i)),
  );
  program.write(
    'w',
    Float32Array.from({ length: 10 }, (_, i) => i),
  );
  await program.run();
  return new Float32Array(program.read('y'));
}

interface ChoiceFile {
  device: string;
  choices: Record<string, string>;
}

const edited = (json: string, change: (file: ChoiceFile) => void): string => {
  const file = JSON.parse(json) as ChoiceFile;
  change(file);
  return JSON.stringify(file);
};

const made = withEngine(async (engine) => {
  expect(JSON.parse(engine.choices())).toMatchObject({ format: 1, choices: {} });
  const y = await run(engine);
  return { y, json: engine.choices() };
});

test('a run leaves a choice for every shape that it met', async () => {
  const { json } = await made;
  const shapes = Object.keys((JSON.parse(json) as ChoiceFile).choices);
  expect(shapes).toHaveLength(2);
  expect(shapes[0]).toMatch(/^conv2d forward f32 x 1x4x4x3 w 5x3x3 y 4x4 stride 1 pad 1,1,1,1$/);
  expect(shapes[1]).toBe('matmul f32>f32 nt 16x2x5 ld 5,5,2 batch 1,0,0,0 align 4,4,8,8,8');
});

test('a bias that begins elsewhere has a choice of its own', async () => {
  await withEngine(async (engine) => {
    engine.createState('biases', 19);
    const graph = createGraph();
    const [x, w] = [input(graph, 'x', [16, 32]), input(graph, 'w', [16, 32])];
    for (const offset of [0, 3]) {
      result(graph, `y${offset}`, linear(x, w, state(graph, 'biases', offset, [16], `bias${offset}`)));
    }
    await engine.load(encodePlan(makePlan(graph, { device: 'cuda', threads: 1, workspaceBytes: 0 }))).run();
    const shape = 'matmul f32>f32 nt 16x16x32 ld 32,32,16 batch 1,0,0,0 align 64,64,64,64';
    const { choices } = JSON.parse(engine.choices()) as ChoiceFile;
    expect(Object.keys(choices).sort()).toEqual([`${shape},4 +bias`, `${shape},64 +bias`]);
  });
});

test('attention of queries, keys and values in one tensor has choices of its own', async () => {
  await withEngine(async (engine) => {
    const graph = createGraph();
    const tensor = (name: string, channels: number) => input(graph, name, [2, 3, channels], 'bf16');
    const [q, qkv, dO] = [tensor('q', 16), tensor('qkv', 48), tensor('do', 16)];
    const [apart, packed] = [attention(q, q, q, { heads: 2 }), selfAttention(qkv, { heads: 2 })];
    result(graph, 'dq', grad(apart, dO, [q])[0]!);
    result(graph, 'dqkv', grad(packed, dO, [qkv])[0]!);
    const program = engine.load(encodePlan(makePlan(graph, { device: 'cuda', threads: 1, workspaceBytes: 0 })));
    await program.run();
    const shapes = Object.keys((JSON.parse(engine.choices()) as ChoiceFile).choices);
    const of = (work: string) => `attention ${work} bf16 n 2 heads 2 q 3 k 3 d 8`;
    const expected = ['forward', 'backward'].flatMap((work) => [of(work), `${of(work)} rows 48,48`]);
    expect(shapes.sort()).toEqual(expected.sort());
  });
});

test('choices are taken by another engine and come out of it again', async () => {
  const { y, json } = await made;
  await withEngine(async (engine) => {
    engine.useChoices(json);
    expect(engine.choices()).toBe(json);
    expect(await run(engine)).toEqual(y);
    expect(engine.choices()).toBe(json);
  });
});

test('choices of another device, and what is no such file, are refused with the reason', async () => {
  const { json } = await made;
  await withEngine(async (engine) => {
    const elsewhere = edited(json, (file) => {
      file.device = 'another "device"';
    });
    expect(() => engine.useChoices(elsewhere)).toThrow('made with the device another "device", this is');
    for (const text of ['', '[]', '{"format": 2}', json.slice(0, -4), json.replace('"format": 1', '"format": -1')]) {
      expect(() => engine.useChoices(text), text).toThrow('not a file of algorithm choices');
    }
    expect(JSON.parse(engine.choices())).toMatchObject({ choices: {} });
  });
});

test('a kept choice that no library has made fails at its shape, by name', async () => {
  const { json } = await made;
  await withEngine(async (engine) => {
    engine.useChoices(
      edited(json, (file) => {
        for (const shape of Object.keys(file.choices)) if (shape.startsWith('matmul')) file.choices[shape] = 'nonsense';
      }),
    );
    await expect(run(engine)).rejects.toThrow(/nonsense \(matmul f32>f32 nt 16x2x5/);
  });
});
