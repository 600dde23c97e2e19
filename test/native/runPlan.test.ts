// The program that runs an emitted plan without Node. Only the CMake build makes it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import { createGraph, input, result, state, type Value, weight } from '../../lib/graph/graph.js';
import { adamw } from '../../lib/ops/adamw.js';
import { add } from '../../lib/ops/add.js';
import { gradNorm } from '../../lib/ops/gradNorm.js';
import { linear } from '../../lib/ops/linear.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';

const program = join(dirname(loadAddon().path), 'tlora-run-plan');

function run(plan: Uint8Array, ...options: string[]): { status: number | null; stdout: string; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), 'tlora-plan-'));
  try {
    writeFileSync(join(folder, 'plan'), plan);
    return spawnSync(program, [join(folder, 'plan'), ...options], { encoding: 'utf8' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function somePlan(): Uint8Array {
  const graph = createGraph();
  const x = input(graph, 'x', [5, 20]);
  const y = linear(x, weight(graph, 'w', [20, 20], 'f16'), weight(graph, 'b', [20], 'f32'));
  result(graph, 'y', add(y, state(graph, 'params', 0, [5, 20], 'p')));
  return encodePlan(makePlan(graph, 2));
}

test.skipIf(!existsSync(program))(
  'runs a plan with made-up values: the same sums for every run and thread count',
  () => {
    const one = run(somePlan(), '--threads', '1', '--guard');
    const two = run(somePlan(), '--threads', '2', '--repeat', '3', '--profile', '--check');
    expect([one.status, two.status, one.stderr + two.stderr]).toEqual([0, 0, '']);
    const sums = (out: string): string | undefined => /^y: sum .*$/m.exec(out)?.[0];
    expect(sums(one.stdout)).toMatch(/^y: sum -?\d/);
    expect(sums(two.stdout)).toBe(sums(one.stdout));
    expect(two.stdout).toMatch(/^linear +1 calls/m);
    expect(two.stdout.match(/^run \d: /gm)).toHaveLength(3);
  },
);

test.skipIf(!existsSync(program))('runs a plan twice in turns for dependent launches, and compares the bits', () => {
  const { status, stdout, stderr } = run(somePlan(), '--dependent', '--repeat', '2');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.match(/^run \d: .*, launched dependent /gm)).toHaveLength(2);
  expect(stdout).toMatch(/^the same bits$/m);
});

test.skipIf(!existsSync(program))('makes up settings with which an optimizer step stays finite', () => {
  const graph = createGraph();
  const flat = (buffer: string): Value => state(graph, buffer, 0, [40], buffer);
  const [loss, hyper] = [input(graph, 'loss', [1]), input(graph, 'hyper', [8])];
  const norm = gradNorm(flat('grads'));
  adamw({ params: flat('params'), grads: flat('grads'), m: flat('m'), v: flat('v'), hyper, loss, norm });
  result(graph, 'norm', norm);
  const { status, stderr } = run(encodePlan(makePlan(graph, 1)), '--check');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test.skipIf(!existsSync(program))('appends the times of runs, and of calls by op and sizes, to a file of lines', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tlora-figures-'));
  try {
    const file = join(folder, 'figures');
    expect(run(somePlan(), '--repeat', '5', '--ops', '--json', file).status).toBe(0);
    const [whole, ...ops] = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(whole.ms).toHaveLength(2);
    expect(whole.medianMs).toBe(Math.max(...whole.ms));
    expect(ops.map(({ op, calls, first, bytes }) => [op, calls, first, bytes])).toEqual([
      ['add', 1, 1, 1200],
      ['linear', 1, 0, 1680],
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.skipIf(!existsSync(program))('a broken plan or option ends with a message and a status', () => {
  const broken = run(somePlan().subarray(0, 99));
  expect(broken.status).toBe(1);
  expect(broken.stderr).toMatch(/^tlora-run-plan: plan: cut off at byte \d+ of 99/);
  expect(run(somePlan(), '--thread').status).toBe(2);
});

test.skipIf(!existsSync(program))('a plan of another device or version is refused before anything is made up', () => {
  const graph = createGraph();
  result(graph, 'y', add(input(graph, 'x', [4], 'bf16'), weight(graph, 'w', [4], 'bf16')));
  const plan = encodePlan(makePlan(graph, { device: 'cuda', threads: 1, workspaceBytes: 0 }));
  const expectRefused = (given: Uint8Array, message: string, ...options: string[]): void => {
    const { status, stdout, stderr } = run(given, ...options);
    expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: `tlora-run-plan: ${message}\n` });
  };
  const hint = 'make it anew with --device cpu, or run it with --device cuda';
  expectRefused(plan, `plan: device: expected one made for cpu, got one for cuda: ${hint}`);
  const back = 'make it anew with --device cuda, or run it with --device cpu';
  const wrong = `plan: device: expected one made for cuda, got one for cpu: ${back}`;
  expectRefused(somePlan(), wrong, '--device', 'cuda:1');
  const older = plan.slice();
  older[8] = 1;
  expectRefused(older, 'plan: expected format 2, got 1: it is of an older tlora, make it anew');
});
