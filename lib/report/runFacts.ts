import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { AdapterInfo } from '../adapters/adapterMetadata.js';
import { isMasked } from '../adapters/adapterSpec.js';
import { openAdapter } from '../adapters/openAdapter.js';
import type { RankSchedule } from '../adapters/rankSchedule.js';
import { ConfigError } from '../errors.js';
import { loadPhoto } from '../io/image.js';
import { type EmbeddedPicture, embedPicture } from '../io/pictureUri.js';
import { type RunFolder, readRunConfig, runFolder } from '../train/runFolder.js';
import { type RunLog, readRunLog, watchRecords } from '../train/runLog.js';
import { type WatchRecord, type WatchVerdict, watchVerdict } from '../train/watchFigures.js';
import { type EffectiveRank, effectiveRanks, holdsChange } from './effectiveRank.js';

/** A picture made during training. */
export interface RunSample {
  readonly prompt: string;
  readonly step: number;
  readonly picture: EmbeddedPicture;
}

/** All that a report says of a run. */
export interface RunFacts {
  /** Which of the page's colours is the run's. */
  readonly colour: number;
  readonly label: string;
  readonly folder: RunFolder;
  readonly config: Readonly<Record<string, unknown>>;
  readonly info: AdapterInfo;
  readonly schedule: RankSchedule;
  readonly masked: boolean;
  readonly log: RunLog;
  /** Without that of step 0. */
  readonly watches: readonly WatchRecord[];
  readonly verdict: WatchVerdict;
  /** Of each group of layers; null: the adapter file holds the change only with its start, which it does not hold. */
  readonly ranks: ReadonlyMap<string, EffectiveRank & { readonly layers: number }> | null;
  /** The training picture as the model saw it; null: it was not trained from a file that is still there. */
  readonly training: EmbeddedPicture | null;
  readonly samples: readonly RunSample[];
}

async function trainingPicture(config: RunFacts['config']): Promise<EmbeddedPicture | null> {
  const { images, resolution } = config;
  const source = Array.isArray(images) ? images[0] : undefined;
  if (typeof source !== 'string' || typeof resolution !== 'number') return null;
  const path = source.startsWith('file:') ? new URL(source) : source;
  if (!existsSync(path)) return null;
  return embedPicture(await loadPhoto(path, resolution));
}

/** The last pictures of a run's prompts. */
async function lastSamples(folder: RunFolder, config: RunFacts['config'], steps: number): Promise<RunSample[]> {
  const sample = config.sample as { every: number; prompts: string[] } | undefined;
  if (!sample) return [];
  const step = steps - (steps % sample.every);
  const all: RunSample[] = [];
  for (const [i, prompt] of sample.prompts.entries()) {
    const path = folder.samplePath(step, i);
    if (existsSync(path)) all.push({ prompt, step, picture: await embedPicture(path) });
  }
  return all;
}

/**
 * Reads a run's folder.
 * @param colour which of the page's colours is the run's
 * @throws ConfigError if there is no run or no adapter in it, FileFormatError for what cannot be read
 */
export async function readRunFacts(dir: string, colour: number, label?: string): Promise<RunFacts> {
  const folder = runFolder(dir);
  const config = readRunConfig(folder, 'run');
  if (!existsSync(folder.adapterPath)) {
    throw new ConfigError(`run: expected an adapter in '${dir}', found none`, {
      hint: 'The run was stopped before it saved anything: go on with it by --resume.',
    });
  }
  const file = openAdapter(folder.adapterPath);
  if (!file.info) throw new ConfigError(`run: expected an adapter of tlora in '${dir}', got one of another program`);
  const log = readRunLog(folder.logPath);
  const watches = watchRecords(log);
  return {
    ...{ colour, folder, config, log, watches },
    label: label ?? `${String(config.variant)} · ${basename(resolve(dir))}`,
    info: file.info,
    schedule: file.info.schedule,
    masked: isMasked(file.info.spec.variant),
    verdict: watchVerdict(watches),
    ranks: holdsChange(file) ? effectiveRanks(file) : null,
    training: await trainingPicture(config),
    samples: await lastSamples(folder, config, log.steps.at(-1)?.step ?? 0),
  };
}

/** Where a run's report lies unless told otherwise. */
export function reportPath(dir: string): string {
  return join(dir, 'report.html');
}
