// Algorithms tried against each other on an emulated clock with planted times (TLORA_EMULATED_TIMES). Needs TLORA_CUDA_LIBRARY.
import { afterEach, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import type { Engine } from '../../lib/addon/surface.js';
import { createGraph, type Graph, input, result } from '../../lib/graph/graph.js';
import { attention, attentionOp } from '../../lib/ops/attention.js';
import { linear } from '../../lib/ops/linear.js';
import { lowRankBranch } from '../../lib/ops/lowRankBranch.js';
import { scale } from '../../lib/ops/scale.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';

/** Values by result after three runs: call by call, recorded, replayed. They must all be alike. */
type Results = Record<string, Uint8Array[]>;

interface Found {
  results: Results;
  choices: Record<string, string>;
  times: Record<string, string>;
  json: string;
}

interface Settings {
  /** TLORA_EMULATED_TIMES. */
  times?: string;
  trialMs?: number;
  before?: (engine: Engine) => void;
}

const VARIABLES = ['TLORA_EMULATED_TIMES', 'TLORA_ATTENTION'] as const;
afterEach(() => {
  for (const name of VARIABLES) delete process.env[name];
});

async function run(graph: Graph, { times = '', trialMs = 1e6, before }: Settings): Promise<Found> {
  if (times === '') delete process.env.TLORA_EMULATED_TIMES;
  else process.env.TLORA_EMULATED_TIMES = times;
  const engine = loadAddon().createEngine({ threads: 1, device: 'cuda', trialMs });
  try {
    before?.(engine);
    const plan = makePlan(graph, { device: 'cuda', threads: 1, workspaceBytes: 0 });
    const program = engine.load(encodePlan(plan));
    const results: Results = Object.fromEntries([...graph.results.keys()].map((name) => [name, []]));
    for (const _ of [1, 2, 3]) {
      for (const { name, dtype, shape } of graph.leaves.values()) program.write(name, valuesFor(dtype, shape));
      await program.run();
      for (const name of graph.results.keys()) results[name]!.push(new Uint8Array(program.read(name)));
    }
    const json = engine.choices();
    return { results, json, ...(JSON.parse(json) as Pick<Found, 'choices' | 'times'>) };
  } finally {
    engine.dispose();
  }
}

/** bfloat16 as its upper half. */
function valuesFor(dtype: string, shape: readonly number[]): Float32Array | Uint16Array {
  const floats = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(0.7 * i + 1));
  return dtype === 'f32' ? floats : Uint16Array.from(new Uint32Array(floats.buffer), (bits) => bits >>> 16);
}

function product(): Graph {
  const graph = createGraph();
  result(graph, 'y', linear(input(graph, 'x', [16, 5]), input(graph, 'w', [2, 5]), null));
  return graph;
}

/** One choice and what it took. */
const only = ({ choices, times }: Found): [string, string | undefined] => {
  const [[shape, algorithm], ...more] = Object.entries(choices) as [[string, string]];
  expect(more).toEqual([]);
  return [algorithm, times[shape]];
};

describe('of the algorithms of a shape', () => {
  test.each([
    { times: '3,2,5', taken: 'emulated 1', took: '2.0000 ms, the first 3.0000, of 3' },
    { times: '3,2.95,4', taken: 'emulated 0', took: '3.0000 ms, the first 3.0000, of 3' },
    { times: '2,2,2', taken: 'emulated 0', took: '2.0000 ms, the first 2.0000, of 3' },
    { times: '0.01,0.009', taken: 'emulated 1', took: '0.0090 ms, the first 0.0100, of 2' },
    { times: '-,4,3', taken: 'emulated 2', took: '3.0000 ms, the first -, of 3' },
    { times: '3,-,40', taken: 'emulated 0', took: '3.0000 ms, the first 3.0000, of 3' },
    { times: '7', taken: 'emulated 0', took: undefined },
  ])('$times ms: $taken', async ({ times, taken, took }) => {
    expect(only(await run(product(), { times: `matmul=${times}` }))).toEqual([taken, took]);
  });

  test('all of which fail, the first is taken, and its failure is told', async () => {
    await expect(run(product(), { times: 'matmul=-,-' })).rejects.toThrow('an algorithm that fails (matmul f32>f32');
  });

  test('the first is taken where nothing may be tried, and where no time is left', async () => {
    expect(only(await run(product(), { times: 'matmul=3,2', trialMs: 0 }))).toEqual(['emulated 0', undefined]);
    const graph = product();
    result(graph, 'z', linear(input(graph, 'x2', [4, 5]), input(graph, 'w2', [3, 5]), null));
    const { choices, times } = await run(graph, { times: 'matmul=3,2', trialMs: 1e-6 });
    expect(Object.values(choices).sort()).toEqual(['emulated 0', 'emulated 1']);
    expect(Object.keys(times)).toHaveLength(1);
  });
});

describe('choices', () => {
  test('are taken by another engine, which tries nothing, whether they are given or suggested', async () => {
    const first = await run(product(), { times: 'matmul=3,2' });
    for (const how of ['useChoices', 'suggestChoices'] as const) {
      const again = await run(product(), { times: 'matmul=1,9', before: (engine) => engine[how](first.json) });
      expect(again.json, how).toBe(first.json);
    }
  });

  test('that do not work are an error if given, and passed over if suggested', async () => {
    const { json } = await run(product(), { times: 'matmul=5,4,3' });
    const times = 'matmul=3,2';
    const given = run(product(), { times, before: (engine) => engine.useChoices(json) });
    await expect(given).rejects.toThrow('cannot be read: emulated 2');
    const suggested = await run(product(), { times, before: (engine) => engine.suggestChoices(json) });
    expect(only(suggested)).toEqual(['emulated 1', '2.0000 ms, the first 3.0000, of 2']);
  });

  test('that were suggested for shapes that are not met are not kept', async () => {
    const { json } = await run(product(), { times: 'matmul=5,4,3' });
    const other = await run(attend(), { before: (engine) => engine.suggestChoices(json) });
    expect(Object.keys(other.choices).filter((shape) => shape.startsWith('matmul'))).toEqual([]);
  });
});

/** A branch that is added to a base of its own, in place. */
function branch(): Graph {
  const graph = createGraph();
  const base = scale(input(graph, 'base', [1, 6, 8]), 2);
  const factors = { a: input(graph, 'a', [1, 16, 4]), b: input(graph, 'b', [8, 16]), rank: 16, layers: 1 };
  const y = lowRankBranch(base, input(graph, 'x', [1, 6, 4]), factors, { scale: 0.5 });
  result(graph, 'y', scale(y, 1));
  return graph;
}

test('trying a product that adds to its output leaves the output alone', async () => {
  const plain = await run(branch(), {});
  const tried = await run(branch(), { times: 'matmul=3,2,1' });
  expect(Object.keys(tried.times).some((shape) => shape.endsWith('+c'))).toBe(true);
  expect(tried.results).toEqual(plain.results);
  const [once, ...again] = plain.results.y!;
  for (const y of again) expect(y).toEqual(once);
});

/** Attention with all gradients, in bfloat16. */
function attend(): Graph {
  const graph = createGraph();
  const leaves = ['q', 'k', 'v'].map((name) => input(graph, name, [1, 9, 16], 'bf16'));
  const [q, k, v] = leaves as [(typeof leaves)[0], (typeof leaves)[0], (typeof leaves)[0]];
  const o = attention(q, k, v, { heads: 2 });
  result(graph, 'o', o);
  const dO = input(graph, 'dO', [1, 9, 16], 'bf16');
  for (const gradient of attentionOp.vjp!(graph.nodes.at(-1)!, [dO], [true, true, true], [16, 16, 16])) {
    result(graph, gradient!.name, gradient!);
  }
  return graph;
}

describe('our own attention', () => {
  test('is taken where it is faster, to the bits that it has alone', async () => {
    const own = await run(attend(), { times: 'attention=4,3;own attention=2' });
    expect(Object.values(own.choices)).toEqual(['own', 'own']);
    expect(Object.values(own.times)).toEqual(Array(2).fill('2.0000 ms, the first 4.0000, of 3'));
    process.env.TLORA_ATTENTION = 'own';
    const alone = await run(attend(), {});
    expect(alone.choices).toEqual({});
    expect(own.results).toEqual(alone.results);
    delete process.env.TLORA_ATTENTION;
    const again = await run(attend(), { before: (engine) => engine.useChoices(own.json) });
    expect(again.results).toEqual(own.results);
  });

  test('may win forward and lose backward', async () => {
    const times = 'attention forward=4,3;attention backward=4,3;own attention forward=2;own attention backward=9';
    const { choices } = await run(attend(), { times });
    expect(Object.entries(choices).map(([shape, algorithm]) => [shape.split(' ')[1], algorithm])).toEqual([
      ['backward', 'emulated 1'],
      ['forward', 'own'],
    ]);
  });
});
