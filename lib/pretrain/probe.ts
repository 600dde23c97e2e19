// What a noisy latent still shows, by noise level: a small network that reads background, place and shape from latents of the finished
// autoencoder under noise. By it the noise schedule is calibrated.
import { createGraph, type Graph, input, result, type Value } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import { downsample2D } from '../models/downsampling.js';
import { convLayer, groupNormSilu, linearLayer } from '../models/layers.js';
import { resnetBlock2D } from '../models/resnet.js';
import { add } from '../ops/add.js';
import { mixPerSample } from '../ops/mixPerSample.js';
import { randomNormal } from '../ops/randomNormal.js';
import { reshape } from '../ops/reshape.js';
import { slice } from '../ops/slice.js';
import { softmaxCrossEntropy } from '../ops/softmaxCrossEntropy.js';
import type { FlatLayout } from '../params/flatLayout.js';
import type { ParamNode } from '../params/paramTree.js';
import { type Feeds, loadProgram, readResult, type Session, writeAll } from '../pipeline/session.js';
import { deriveSeed } from '../random/philox.js';
import type { NoiseSchedule } from '../schedulers/noiseSchedule.js';
import { type AttributeRecord, attributeValues } from '../world/attributes.js';
import { classLayout, classLogits, likeliest } from './classLayout.js';
import { latentKeys, noiseFeeds } from './draws.js';
import { pictureBatch } from './pictures.js';
import type { Stage } from './runStage.js';
import type { StageSettings } from './settings.js';
import { layoutOf, stateTrees } from './trainedTree.js';
import { frozenLatents, repeated, type UnetStepSizes } from './unetGraphs.js';
import { appendGradients, appendUpdate } from './updateGraph.js';
import { UNSEEN } from './vaeStage.js';
import { worldPictures, worldRecord } from './worldPictures.js';

/** What the probe reads. */
export const PROBED = ['background', 'position', 'shape'] as const;
type Probed = (typeof PROBED)[number];

export interface ProbeSettings extends StageSettings {
  readonly seed: number;
  readonly sizes: UnetStepSizes;
  /** Pictures that are read at each time in the end. */
  readonly tested: number;
}

const classes = (name: Probed): readonly string[] => attributeValues[name];
const CLASSES = classLayout(PROBED.map((name) => [name, classes(name).length] as const));
const NORM = { groups: 8, eps: 1e-6 };

/** Logits [n, classes of all] from noisy latents [n, h, w, c]; places stay apart to the end. */
function network(p: ParamNode, noisy: Value): Value {
  let h = convLayer(p.child('conv_in'), noisy, { out: 48 });
  for (const [i, out] of [48, 96, 96].entries()) {
    h = resnetBlock2D(p.child('resnets').child(i), h, null, { ...NORM, out });
    if (i < 2) h = downsample2D(p.child('downsamplers').child(i), h, 1);
  }
  h = groupNormSilu(p.child('norm_out'), h, NORM);
  const [n, height, width, c] = h.shape as [number, number, number, number];
  return linearLayer(p.child('classes'), reshape(h, [n, height * width * c]), { out: CLASSES.width });
}

function logitsOf(graph: Graph, p: ParamNode, vae: Component, sizes: UnetStepSizes): Value {
  const latents = repeated(frozenLatents(graph, vae, sizes), sizes.draws);
  const n = latents.shape[0]!;
  const noise = randomNormal(input(graph, 'noiseKey', [n, 4], 'i32'), latents.shape);
  return network(p, mixPerSample(latents, noise, input(graph, 'signal', [n]), input(graph, 'noiseWeight', [n])));
}

function stepGraph(layout: FlatLayout, vae: Component, sizes: UnetStepSizes): Graph {
  const graph = createGraph();
  const logits = logitsOf(graph, stateTrees(graph, layout, 'params')('probe'), vae, sizes);
  const losses = PROBED.map((name) => {
    const part = slice(logits, CLASSES.ranges[name]);
    const { loss } = softmaxCrossEntropy(part, input(graph, name, [logits.shape[0]!], 'i32'));
    result(graph, name, loss);
    return loss;
  });
  const loss = losses.reduce((sum, part) => add(sum, part));
  result(graph, 'loss', loss);
  appendGradients(graph, loss);
  appendUpdate(graph, loss, layout);
  return graph;
}

function probeLayout(vae: Component, side: number): FlatLayout {
  const { downscale, latentChannels } = readAutoencoderConfig(vae.config);
  const shape = [1, side / downscale, side / downscale, latentChannels];
  return layoutOf((graph, trees) => void network(trees('probe'), input(graph, 'noisy', shape)));
}

/** The parts of a draw that the probe's graphs read. */
function mixOf(all: Feeds): Feeds {
  return { noiseKey: all.noiseKey!, signal: all.signal!, noiseWeight: all.noiseWeight! };
}

function labelsOf(records: readonly AttributeRecord[], draws: number): Record<string, Int32Array> {
  return Object.fromEntries(
    PROBED.map((name) => {
      const labels = records.map((record) => classes(name).indexOf(record[name]));
      return [name, Int32Array.from(labels.flatMap((label) => Array.from({ length: draws }, () => label)))];
    }),
  );
}

/** Trains the probe at all times of a schedule alike. */
export function probeStage(vae: Component, schedule: NoiseSchedule, settings: ProbeSettings): Stage {
  const { sizes, seed } = settings;
  const layout = probeLayout(vae, sizes.side);
  const pictures = worldPictures(deriveSeed(seed, 2));
  return {
    name: 'probe',
    seed,
    settings,
    layout,
    graph: stepGraph(layout, vae, sizes),
    parts: PROBED,
    components: [vae],
    constants: {},
    feeds: (step) => {
      const first = (step - 1) * sizes.pictures;
      const records = Array.from({ length: sizes.pictures }, (_, i) => worldRecord(deriveSeed(seed, 2), first + i));
      return {
        image: pictureBatch(pictures, first, sizes.pictures, 0).image,
        latentKey: latentKeys(seed, first, sizes.pictures),
        ...mixOf(noiseFeeds(seed, schedule, step, sizes.pictures * sizes.draws)),
        ...labelsOf(records, sizes.draws),
      };
    },
    preview: async () => ({}),
  };
}

/** Shares of attributes that the probe reads rightly at one time. */
export interface ProbeRow extends Readonly<Record<Probed, number>> {
  readonly t: number;
  /** log (signal² / noise²) */
  readonly logSnr: number;
}

/** Reads unseen pictures at given times with the averaged probe in the session's state buffer `ema`. */
export async function readProbe(
  session: Session,
  vae: Component,
  schedule: NoiseSchedule,
  settings: ProbeSettings,
  times: readonly number[],
): Promise<ProbeRow[]> {
  const { seed } = settings;
  const sizes = { ...settings.sizes, draws: 1 };
  const n = sizes.pictures;
  const graph = createGraph();
  const layout = probeLayout(vae, sizes.side);
  result(graph, 'logits', logitsOf(graph, stateTrees(graph, layout, 'ema')('probe'), vae, sizes));
  const program = await loadProgram(session, graph, [vae]);
  const pictures = worldPictures(deriveSeed(seed, 2));
  const right = times.map(() => PROBED.map(() => 0));
  let seen = 0;
  try {
    for (; seen < settings.tested; seen += n) {
      const records = Array.from({ length: n }, (_, i) => worldRecord(deriveSeed(seed, 2), UNSEEN + seen + i));
      const labels = labelsOf(records, 1);
      writeAll(program, {
        image: pictureBatch(pictures, UNSEEN + seen, n, 0).image,
        latentKey: latentKeys(seed, seen, n),
      });
      for (const [row, t] of times.entries()) {
        const a = schedule.alphasCumprod[t]!;
        const { noiseKey } = noiseFeeds(seed + 1, schedule, 1 + seen / n, n);
        const signal = new Float32Array(n).fill(Math.sqrt(a));
        writeAll(program, { noiseKey: noiseKey!, signal, noiseWeight: new Float32Array(n).fill(Math.sqrt(1 - a)) });
        await program.run();
        countRight(readResult(program, 'logits'), labels, right[row]!);
      }
    }
  } finally {
    program.dispose();
  }
  return times.map((t, row) => {
    const a = schedule.alphasCumprod[t]!;
    const shares = right[row]!.map((count) => count / seen) as [number, number, number];
    return { t, logSnr: Math.log(a / (1 - a)), background: shares[0], position: shares[1], shape: shares[2] };
  });
}

function countRight(logits: Float32Array, labels: Readonly<Record<string, Int32Array>>, right: number[]): void {
  PROBED.forEach((name, k) => {
    const answers = [...labels[name]!].filter((label, i) => likeliest(classLogits(logits, CLASSES, name, i)) === label);
    right[k]! += answers.length;
  });
}
