// Starts that are drawn: plain LoRA's Gaussian, and for orthogonal variants independent frames and singular values.
import { result } from '../graph/graph.js';
import { complementFrame } from '../ops/complementFrame.js';
import { gaussianSingularValues } from '../ops/gaussianSingularValues.js';
import { qrFrame } from '../ops/qrFrame.js';
import { randomNormal } from '../ops/randomNormal.js';
import { valueName } from './adapterLayout.js';
import type { AdaptedLayer, AdapterSpec } from './adapterSpec.js';
import { batches, eachRow, keyInput, keysOf, type Piece, type StartOptions, write } from './startPieces.js';

/** down ~ N(0, 1/r²), up = 0. */
export function gaussianDowns(options: StartOptions): Piece[] {
  return batches(options.layout.layers, (layer) => [layer.rank, layer.in]).map((batch): Piece => {
    const { rank, in: width } = batch[0]!;
    const names = batch.map((layer) => valueName(layer.path, 'lora_down'));
    const shape = [batch.length, rank, width];
    return {
      build: (graph) => result(graph, 'down', randomNormal(keyInput(graph, batch.length), shape, { std: 1 / rank })),
      feeds: { key: keysOf(options.seed, names) },
      take: (results) =>
        eachRow(batch, results.get('down')!, (layer, row) => {
          write(options, layer.path, 'lora_down', row);
          write(options, layer.path, 'lora_up', new Float32Array(layer.out * layer.rank));
        }),
    };
  });
}

/** One frame to draw: up [out, r] (length out) or down [r, in] (length in). */
interface FrameJob {
  path: string;
  kind: 'lora_up' | 'lora_down';
  length: number;
  rank: number;
  /** For the authors' law: the layer's other, smaller side; 0: Haar. */
  shorter: number;
}

function frameJobs({ layout, spec }: StartOptions): FrameJob[] {
  const job = (layer: AdaptedLayer, kind: FrameJob['kind'], length: number, other: number): FrameJob => {
    const leaning = spec.start.frames === 'reference' && other < length;
    return { path: layer.path, kind, length, rank: layer.rank, shorter: leaning ? other : 0 };
  };
  return layout.layers.flatMap((layer) => [
    job(layer, 'lora_up', layer.out, layer.in),
    job(layer, 'lora_down', layer.in, layer.out),
  ]);
}

/** Independent orthonormal frames up and down of every layer, in the law that the spec asks for. */
export function frames(options: StartOptions): Piece[] {
  const { which } = options.spec.start;
  const jobs = frameJobs(options);
  return (['lora_up', 'lora_down'] as const).flatMap((kind) =>
    batches(
      jobs.filter((job) => job.kind === kind),
      ({ length, rank, shorter }) => [length, rank, shorter],
    ).map((batch) => framePiece(options, which, kind, batch)),
  );
}

function framePiece(
  options: StartOptions,
  which: AdapterSpec['start']['which'],
  kind: FrameJob['kind'],
  batch: readonly FrameJob[],
): Piece {
  const { length, rank, shorter } = batch[0]!;
  const leaning = shorter > 0;
  const columns = kind === 'lora_up' && !leaning;
  return {
    build: (graph) => {
      const key = keyInput(graph, batch.length);
      const gaussian = randomNormal(key, [batch.length, leaning ? shorter : length, rank]);
      const frame = qrFrame(gaussian, { transposed: !leaning && !columns });
      // The reflectors' blocks begin at 2³², after those of the Gaussian: one key serves both.
      result(graph, 'frame', leaning ? complementFrame(key, frame, { rows: length, which }) : frame);
    },
    feeds: {
      key: keysOf(
        options.seed,
        batch.map((job) => valueName(job.path, kind)),
      ),
    },
    take: (results) =>
      eachRow(batch, results.get('frame')!, (job, row) => {
        write(options, job.path, kind, kind === 'lora_up' && leaning ? transposed(row, rank, length) : row);
      }),
  };
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j]!;
  return out;
}

/** lambda: the chosen singular values of an out × in Gaussian with standard deviation 1/r. */
export function singularValues(options: StartOptions): Piece[] {
  const { which } = options.spec.start;
  return batches(options.layout.layers, (layer) => [layer.rank, layer.in, layer.out]).map((batch) => ({
    build: (graph) => {
      const { out, in: width, rank } = batch[0]!;
      const shape = { rows: out, cols: width, rank, which, std: 1 / rank };
      result(graph, 'sigma', gaussianSingularValues(keyInput(graph, batch.length), shape));
    },
    feeds: {
      key: keysOf(
        options.seed,
        batch.map((layer) => valueName(layer.path, 'lora_lambda')),
      ),
    },
    take: (results) =>
      eachRow(batch, results.get('sigma')!, (layer, row) => write(options, layer.path, 'lora_lambda', row)),
  }));
}
