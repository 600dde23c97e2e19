// Any adapter as a plain LoRA in other programs' layouts.
import { basename, extname } from 'node:path';
import type { AdapterFile } from '../adapters/adapterFile.js';
import type { LinearShape } from '../adapters/adapterSpec.js';
import { isMasked } from '../adapters/adapterSpec.js';
import { familyOf, saveKohyaFile } from '../adapters/kohyaFile.js';
import { squaredSize, truncated } from '../adapters/lowRankSvd.js';
import { maskMetadata } from '../adapters/maskMetadata.js';
import type { AdaptedModel } from '../adapters/modelLayers.js';
import { savePeftFile } from '../adapters/peftFile.js';
import { type PlainFactors, plainFactors } from '../adapters/plainFactors.js';
import type { PlainAdapter, PlainLayer } from '../adapters/plainLayers.js';
import type { RankSchedule } from '../adapters/rankSchedule.js';
import { ConfigError } from '../errors.js';
import { assumedSchedule, pipelineLayers } from '../generate/adapter.js';
import type { OpenModel } from '../pipeline/openModel.js';
import { noiseSchedule } from '../schedulers/noiseSchedule.js';
import type { ResolvedConvertOptions } from './options.js';
import type { Source } from './source.js';

/** What was written. */
export interface Written {
  readonly layers: number;
  /** Components of the layer that has most. */
  readonly rank: number;
  /** ‖ΔW − written‖ / ‖ΔW‖ over all layers, from leaving out components; 0: none was. */
  readonly relativeError: number;
  /** Sentences for the user. */
  readonly notes: readonly string[];
}

const STORED = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;
const USUAL_TIMESTEPS = 1000;

/** The rank schedule of a file's mask; null: it has none. */
export function scheduleOf({ file, model }: Source): RankSchedule | null {
  const { info, mask } = file;
  if (info) return isMasked(info.spec.variant) ? info.schedule : null;
  return mask && assumedSchedule(file, model ? noiseSchedule(model.scheduler).trainTimesteps : USUAL_TIMESTEPS);
}

/** Writes a plain LoRA: all components or the first `atRank`, at most `rank` of them. */
export async function convertToPlain(source: Source, options: ResolvedConvertOptions): Promise<Written> {
  const { to, out, atRank, dtype } = options;
  const { file, model } = source;
  const schedule = scheduleOf(source);
  const perRank = (file.orthogonal ? 2 : 1) * (file.mask?.perRank ?? 1);
  if (atRank !== undefined) expectRank(atRank, file);
  const sums = { kept: 0, lost: 0 };
  const layers = plainLayers(source, options, sums);
  const whole = atRank === undefined && layers.every((layer) => layer.rank === layer.whole);
  const adapter: PlainAdapter = {
    layers,
    dtype: STORED[dtype],
    name: basename(out, extname(out)),
    trigger: file.info && file.info.className !== '' ? `${file.info.token} ${file.info.className}` : undefined,
    metadata: schedule && whole ? maskMetadata(schedule, perRank) : {},
  };
  if (to === 'kohya') {
    const family = model?.kind === 'sdxl' ? 'sdxl' : familyOf(model ? unetLayers(model) : file.layers);
    await saveKohyaFile(out, adapter, family);
  } else await savePeftFile(out, adapter, to === 'peft' ? 'peft' : 'diffusers');
  return {
    layers: layers.length,
    rank: Math.max(...layers.map((layer) => layer.rank)),
    relativeError: sums.lost === 0 ? 0 : Math.sqrt(sums.lost / (sums.kept + sums.lost)),
    notes: schedule && atRank === undefined ? [maskNote(schedule)] : [],
  };
}

function maskNote({ maxRank, minRank }: RankSchedule): string {
  return `other programs apply no mask: at high noise they use all ${maxRank} ranks, not ${minRank} as in training, so that pictures follow the layout of the training picture more closely; --at-rank ${minRank} exports those alone`;
}

function expectRank(atRank: number, { path, layers, mask }: AdapterFile): void {
  const most = Math.max(...layers.map(({ rank }) => Math.ceil(rank / (mask?.perRank ?? 1))));
  if (atRank <= most) return;
  throw new ConfigError(`atRank: expected at most ${most}, the rank of ${path}, got ${atRank}`);
}

function unetLayers(model: OpenModel): LinearShape[] {
  return [...pipelineLayers(model).get('unet')!.values()];
}

/** A layer to write, with the components that it would have if none were left out. */
interface CountedLayer extends PlainLayer {
  readonly whole: number;
}

/** All layers of the file; the squares of what is kept and left out are added to `sums` as their factors are computed. */
function plainLayers(
  { file, content }: Source,
  { rank, atRank = Number.POSITIVE_INFINITY }: ResolvedConvertOptions,
  sums: { kept: number; lost: number },
): CountedLayer[] {
  const parts: [AdaptedModel, AdapterFile][] = [['unet', file], ...file.text];
  return parts.flatMap(([model, own]) =>
    own.layers.map((layer): CountedLayer => {
      const active = Math.min(layer.rank, model === 'unet' ? atRank * (own.mask?.perRank ?? 1) : layer.rank);
      const whole = (own.orthogonal ? 2 : 1) * active;
      const count = Math.min(whole, rank ?? whole);
      const compute = (): PlainFactors => {
        const all = plainFactors(layer, content(own, layer), active);
        if (rank === undefined) return all;
        const { factors, kept, lost } =
          whole === count ? { factors: all, kept: squaredSize(all), lost: 0 } : truncated(all, count);
        sums.kept += kept;
        sums.lost += lost;
        return factors;
      };
      return { ...layer, model, whole, rank: count, factors: once(compute) };
    }),
  );
}

/** Computes for the first of two calls, and forgets with the second: a layer's two factors are written one after the other. */
function once(compute: () => PlainFactors): () => PlainFactors {
  let held: PlainFactors | null = null;
  return () => {
    const factors = held ?? compute();
    held = held ? null : factors;
    return factors;
  };
}
