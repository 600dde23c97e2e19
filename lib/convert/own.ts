// Any adapter in tlora's own layout or the authors'.
import { saveAdapter } from '../adapters/adapterFile.js';
import { adapterLayout, layerValues, type ValueKind } from '../adapters/adapterLayout.js';
import type { AdapterInfo } from '../adapters/adapterMetadata.js';
import { type AdaptedLayer, type AdapterVariant, DEFAULT_START } from '../adapters/adapterSpec.js';
import { baseFingerprint } from '../adapters/fingerprint.js';
import { truncated } from '../adapters/lowRankSvd.js';
import { saveOfficialFile } from '../adapters/officialFile.js';
import type { LayerContent } from '../adapters/openAdapter.js';
import { plainFactors } from '../adapters/plainFactors.js';
import type { RankSchedule } from '../adapters/rankSchedule.js';
import { ConfigError, FileFormatError } from '../errors.js';
import type { ResolvedConvertOptions } from './options.js';
import { scheduleOf, type Written } from './plain.js';
import type { Content, Source } from './source.js';

function expectUnetOnly({ file }: Source, to: string): void {
  if (file.text.size === 0) return;
  throw new ConfigError(`to: expected a layout that can hold adapters of text encoders, got ${to}`, {
    hint: '--unet-only leaves them out; kohya, peft and diffusers can hold them.',
  });
}

/** Reads one value after the other, each layer's content once. */
function reader(layers: readonly AdaptedLayer[], content: (layer: AdaptedLayer) => Content) {
  const byPath = new Map(layers.map((layer) => [layer.path, layer]));
  let held: { path: string; content: Content } | undefined;
  const contentOf = (path: string): Content => {
    if (held?.path !== path) held = { path, content: content(byPath.get(path)!) };
    return held.content;
  };
  return (buffer: 'params' | 'base', name: string): Float32Array => {
    const [, path, kind] = /^(.+)\.(lora_\w+)\.weight$/.exec(name)!;
    const { values, start } = contentOf(path!);
    return (buffer === 'base' ? start! : values).get(kind as ValueKind)!;
  };
}

function written(layers: readonly AdaptedLayer[], notes: readonly string[] = []): Written {
  return { layers: layers.length, rank: Math.max(...layers.map(({ rank }) => rank)), relativeError: 0, notes };
}

/** Writes the authors' layout. */
export async function convertToOfficial(source: Source, { out }: ResolvedConvertOptions): Promise<Written> {
  expectUnetOnly(source, 'official');
  const { file, content } = source;
  const { layers, orthogonal } = file;
  await saveOfficialFile(
    out,
    adapterLayout(layers, orthogonal),
    reader(layers, (layer) => content(file, layer)),
  );
  const schedule = scheduleOf(source);
  const named = schedule && `${schedule.minRank} to ${schedule.maxRank}, alpha ${schedule.alpha}`;
  return written(layers, named ? [`the authors' layout does not name the rank schedule, ${named}`] : []);
}

/** Writes tlora's layout. */
export async function convertToTlora(source: Source, { out, dtype }: ResolvedConvertOptions): Promise<Written> {
  expectUnetOnly(source, 'tlora');
  const { file, content } = source;
  const masked = file.mask?.perRank === 1 ? file.mask.maxRank : undefined;
  const rank = Math.max(masked ?? 1, ...file.layers.map((layer) => layer.rank));
  const layers = file.layers.map((layer) => ({ ...layer, rank: Math.min(rank, layer.in, layer.out) }));
  const fitted = (layer: AdaptedLayer): Content => {
    const from = file.layers.find(({ path }) => path === layer.path)!;
    return toRank(content(file, from), from, layer);
  };
  const { info, notes } = file.info ? { info: file.info, notes: [] } : infoOf(source, rank);
  await saveAdapter(out, adapterLayout(layers, file.orthogonal), info, reader(layers, fitted), { dtype });
  return written(layers, notes);
}

/** What is known of an adapter of another program. */
function infoOf(source: Source, rank: number): { info: AdapterInfo; notes: string[] } {
  const { file, model } = source;
  if (!model) {
    throw new ConfigError(`model: expected the model folder that ${file.path} is for, got none`, {
      hint: 'The layout tlora names its base model.',
    });
  }
  const lostMask = (file.mask?.perRank ?? 1) > 1;
  const known = lostMask ? null : scheduleOf(source);
  const T = known?.T ?? 1000;
  const schedule: RankSchedule = known ?? { T, maxRank: rank, minRank: rank, alpha: 1 };
  const variant: AdapterVariant = !known ? 'lora' : file.orthogonal ? 'tlora' : 'vanilla';
  const notes = [
    ...(lostMask ? ['the mask of a T-LoRA that was exported as plain LoRA is left out'] : []),
    ...(known && !file.mask?.recorded
      ? [`the rank schedule ${known.minRank} to ${known.maxRank}, alpha ${known.alpha} is assumed`]
      : []),
  ];
  const paths = file.layers.map(({ path }) => path);
  const info: AdapterInfo = {
    spec: { variant, rank, start: file.drawn?.spec.start ?? DEFAULT_START, orthogonal: 'init' },
    schedule,
    seed: 0,
    token: '',
    className: '',
    prompt: '{0}',
    baseFingerprint: baseFingerprint(model.unet.tensors, paths),
    training: {},
  };
  return { info, notes };
}

/** The same change with the rank that tlora's layout has for the layer: more components are zeros, fewer hold all of a plain LoRA. */
function toRank(content: Content, from: AdaptedLayer, to: AdaptedLayer): Content {
  if (from.rank === to.rank) return content;
  const { values, start } = content;
  if (from.rank < to.rank) return { values: padded(values, from, to), start: start && padded(start, from, to) };
  if (start) {
    throw new FileFormatError(`[adapter] rank of '${from.path}': expected at most ${to.rank}, got ${from.rank}`);
  }
  const { up, down } = truncated(plainFactors(from, content), to.rank).factors;
  return {
    values: new Map<ValueKind, Float32Array>([
      ['lora_up', up],
      ['lora_down', down],
    ]),
    start: null,
  };
}

function padded(content: LayerContent, from: AdaptedLayer, to: AdaptedLayer): LayerContent {
  const kinds = layerValues(to, content.has('lora_lambda'));
  return new Map(
    kinds.map(({ kind, shape }) => {
      const [old, wide] = [content.get(kind)!, new Float32Array(shape.reduce((a, b) => a * b, 1))];
      if (kind !== 'lora_up') wide.set(old);
      else for (let i = 0; i < old.length; i++) wide[Math.floor(i / from.rank) * to.rank + (i % from.rank)] = old[i]!;
      return [kind, wide];
    }),
  );
}
