// node --import tsx bench/gpu/emit.ts MODEL JOBS OUT: encoded plans of JOBS (names below, with commas between) for a model's configs and headers,
// and beside each of them NAME.counts.json: bytes and operations of each call, as { bytes: [], flops: [] }.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type AdapterSpec, DEFAULT_START } from '../../lib/adapters/adapterSpec.js';
import { drawStart } from '../../lib/adapters/start.js';
import { predictionGraph } from '../../lib/generate/denoiser.js';
import { createGraph, DTYPE_BYTES, elements, type Graph, input, result } from '../../lib/graph/graph.js';
import { readUnetConfig } from '../../lib/models/unetConfig.js';
import { type ComputeDevice, planDevice } from '../../lib/pipeline/device.js';
import { type OpenModel, openModel } from '../../lib/pipeline/openModel.js';
import { decodeGraph } from '../../lib/pipeline/pictures.js';
import { traceUnet } from '../../lib/pipeline/unetGraph.js';
import { encodePlan } from '../../lib/plan/encode.js';
import { makePlan } from '../../lib/plan/makePlan.js';
import type { Plan, PlannedTensor } from '../../lib/plan/plan.js';
import { setupAdapters } from '../../lib/train/adapterSetup.js';
import { planTraining, stepSizes } from '../../lib/train/forecast.js';

const RANK = 64;
const SPEC: AdapterSpec = { variant: 'tlora', rank: RANK, start: DEFAULT_START, orthogonal: 'init' };

const [folder, jobs, out] = process.argv.slice(2) as [string, string, string];
const model: OpenModel = openModel(folder);
const device: ComputeDevice = planDevice('cuda', { threads: 8, precision: 'bf16' });

const bytesOf = (tensors: readonly (PlannedTensor | null)[]): number =>
  tensors.reduce(
    (sum, tensor) => sum + (tensor ? elements(tensor.value.shape) * DTYPE_BYTES[tensor.value.dtype] : 0),
    0,
  );

function write(name: string, plan: Plan): void {
  writeFileSync(path.join(out, `${name}.plan`), encodePlan(plan));
  const calls = plan.calls.filter(({ node }) => node.op.kernel !== false);
  const bytes = calls.map(({ inputs, outputs }) => bytesOf(inputs) + bytesOf(outputs));
  const flops = calls.map(({ node }) => node.op.flops?.(node) ?? 0);
  writeFileSync(path.join(out, `${name}.counts.json`), JSON.stringify({ bytes, flops }));
}

function step(name: string, resolution: number, batch: number): void {
  const { plan } = planTraining({ model: folder, resolution, batch, rank: RANK, device: 'cuda', precision: 'bf16' });
  write(name, plan);
}

/** Without adapters, and with the base products of cross-attention. */
function forward(name: string, resolution: number): void {
  const graph = createGraph();
  const sizes = stepSizes(model, resolution, 1, device.compute);
  const { inChannels } = readUnetConfig(model.unet.config);
  const sample = input(graph, 'sample', [1, sizes.height, sizes.width, inChannels], device.compute);
  result(graph, 'prediction', traceUnet(graph, model.unet, sizes, sample, { cached: false }).prediction);
  write(name, makePlan(graph, device.target));
}

/** One step of guided sampling with an adapter, and the decoder. */
function guided(name: string, resolution: number): void {
  const { layout } = setupAdapters(model.unet, SPEC);
  const sizes = stepSizes(model, resolution, 2, device.compute);
  const graph = predictionGraph(model.unet, { ...sizes, adapter: { layout, strength: 1 } });
  write(name, makePlan(graph, device.target));
  write(`${name}-decode`, makePlan(decodeGraph(model.vae, sizes.height, sizes.width, device.compute), device.target));
}

/** The start of all adapters: a plan for each of its graphs, in a folder of their own. */
async function start(name: string): Promise<void> {
  const { layout } = setupAdapters(model.unet, SPEC);
  mkdirSync(path.join(out, name), { recursive: true });
  let count = 0;
  const runGraph = async (graph: Graph): Promise<ReadonlyMap<string, Float32Array>> => {
    write(path.join(name, String(count++).padStart(3, '0')), makePlan(graph, device.target));
    return new Map([...graph.results].map(([key, value]) => [key, new Float32Array(elements(value.shape))]));
  };
  await drawStart({ layout, spec: SPEC, seed: 1, runGraph, state: { writeState: () => {} } });
}

const JOBS: Readonly<Record<string, () => void | Promise<void>>> = {
  'sdxl-1024-batch-1': () => step('sdxl-1024-batch-1', 1024, 1),
  'sdxl-1024-batch-4': () => step('sdxl-1024-batch-4', 1024, 4),
  'sd15-512-batch-1': () => step('sd15-512-batch-1', 512, 1),
  'sdxl-1024-forward': () => forward('sdxl-1024-forward', 1024),
  'sdxl-1024-guided': () => guided('sdxl-1024-guided', 1024),
  'sdxl-start': () => start('sdxl-start'),
  'tiny-64-batch-1': () => step('tiny-64-batch-1', 64, 1),
  'tiny-64-forward': () => forward('tiny-64-forward', 64),
  'tiny-64-guided': () => guided('tiny-64-guided', 64),
  'tiny-start': () => start('tiny-start'),
};

for (const name of jobs.split(',')) {
  const job = JOBS[name];
  if (!job) throw new Error(`JOBS: expected of ${Object.keys(JOBS).join(', ')}, got ${name}`);
  await job();
}
