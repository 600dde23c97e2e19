// The addon in worker threads and short processes: loading, leaving in the middle of a run, and leaving nothing behind.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import { createGraph, input, result } from '../../lib/graph/graph.js';
import { add } from '../../lib/ops/add.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';

function longPlan(): string {
  const graph = createGraph();
  const x = input(graph, 'x', [1 << 18]);
  let y = x;
  for (let i = 0; i < 400; i++) y = add(y, x);
  result(graph, 'y', y);
  return Buffer.from(encodePlan(makePlan(graph, 2))).toString('base64');
}

const worker = `
  const { parentPort, workerData } = require('node:worker_threads');
  const addon = { exports: {} };
  process.dlopen(addon, workerData.path);
  const engine = addon.exports.createEngine({ threads: 2 });
  const program = engine.load(Uint8Array.from(Buffer.from(workerData.plan, 'base64')));
  program.write('x', new Float32Array(1 << 18));
  program.run().then(() => parentPort.postMessage('done'), () => parentPort.postMessage('failed'));
  parentPort.postMessage('running');
`;

/** A process that opens the addon in workers; its exit status and output. */
function inProcess(script: string): { status: number | null; output: string } {
  const head = `
    const { Worker } = require('node:worker_threads');
    const workerData = { path: process.argv[1], plan: require('node:fs').readFileSync(0, 'utf8') };
    const start = () => new Worker(${JSON.stringify(worker)}, { eval: true, workerData });
    const message = (w, text) => new Promise((yes, no) => { w.on('message', (m) => m === text && yes()); w.on('error', no); });
  `;
  const child = spawnSync(process.execPath, ['-e', head + script, loadAddon().path], {
    input: longPlan(),
    encoding: 'utf8',
  });
  return { status: child.status, output: child.stdout + child.stderr };
}

test('eight workers in a row, each ended in the middle of a run', () => {
  const script = `(async () => {
    for (let i = 0; i < 8; i++) { const w = start(); await message(w, 'running'); await w.terminate(); }
    console.log('left cleanly');
  })();`;
  expect(inProcess(script)).toEqual({ status: 0, output: 'left cleanly\n' });
});

test('two workers at once finish their runs', () => {
  const script = `Promise.all([start(), start()].map((w) => message(w, 'done'))).then(() => console.log('both done'));`;
  expect(inProcess(script)).toEqual({ status: 0, output: 'both done\n' });
});

test('process.exit in the middle of a run', () => {
  const script = `${worker.replace(/const \{ parentPort.*/, 'const parentPort = { postMessage() {} };')}
    setTimeout(() => process.exit(7), 5);`;
  expect(inProcess(script).status).toBe(7);
});
