import { createGraph, type Graph, input, result } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import { readAutoencoderConfig } from '../models/autoencoderConfig.js';
import {
  autoencoderKlDecode,
  autoencoderKlEncode,
  type LatentDistribution,
  latentDistribution,
} from '../models/autoencoderKl.js';
import { paramTree } from '../params/paramTree.js';
import { type ComputeType, decodingType, encodingType } from './precision.js';
import { runOnce, type Session } from './session.js';

/** Distribution of one picture's latents, unscaled, channels last. */
export interface PictureLatents extends LatentDistribution {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** The encoder on one picture: input `image` [1, height, width, 3] in −1…1; result `moments` [1, height/d, width/d, 2c]. */
export function encodeGraph(vae: Component, height: number, width: number, compute?: ComputeType): Graph {
  const graph = createGraph();
  const tree = paramTree(graph, 'vae', vae.tensors, { compute });
  const image = input(graph, 'image', [1, height, width, 3], compute);
  result(graph, 'moments', autoencoderKlEncode(tree, readAutoencoderConfig(vae.config), image));
  return graph;
}

/**
 * Encodes one picture.
 * @param image [1, height, width, 3] in −1…1
 */
export async function encodePicture(
  session: Session,
  vae: Component,
  image: Float32Array,
  height: number,
  width: number,
): Promise<PictureLatents> {
  const { latentChannels } = readAutoencoderConfig(vae.config);
  const graph = encodeGraph(vae, height, width, encodingType(session.compute));
  const results = await runOnce(session, graph, [vae], { image });
  const [, h, w] = graph.results.get('moments')!.shape as [number, number, number, number];
  return {
    ...latentDistribution(results.get('moments')!, latentChannels),
    height: h,
    width: w,
    channels: latentChannels,
  };
}

/** The decoder on one picture's latents: input `latents` [1, height, width, c], unscaled; result `image` [1, height·d, width·d, 3]. */
export function decodeGraph(vae: Component, height: number, width: number, compute?: ComputeType): Graph {
  const config = readAutoencoderConfig(vae.config);
  const graph = createGraph();
  const dtype = decodingType(compute, config);
  const tree = paramTree(graph, 'vae', vae.tensors, { compute: dtype });
  const latents = input(graph, 'latents', [1, height, width, config.latentChannels], dtype);
  result(graph, 'image', autoencoderKlDecode(tree, config, latents));
  return graph;
}

/**
 * Decodes one picture.
 * @param latents [1, height, width, c], scaled as the UNet has them
 * @returns [1, height·d, width·d, 3], about −1…1
 */
export async function decodeLatents(
  session: Session,
  vae: Component,
  latents: Float32Array,
  height: number,
  width: number,
): Promise<{ image: Float32Array; height: number; width: number }> {
  const { scalingFactor } = readAutoencoderConfig(vae.config);
  const graph = decodeGraph(vae, height, width, session.compute);
  const results = await runOnce(session, graph, [vae], { latents: latents.map((v) => v / scalingFactor) });
  const [, h, w] = graph.results.get('image')!.shape as [number, number, number, number];
  return { image: results.get('image')!, height: h, width: w };
}
