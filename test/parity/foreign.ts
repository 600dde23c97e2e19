import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { originalPaths, underscored } from '../../lib/adapters/modelLayers.js';
import { FileFormatError } from '../../lib/errors.js';
import {
  type AdapterWish,
  type GenerationAdapter,
  loadGenerationAdapter,
  openGenerationAdapter,
  pipelineLayers,
} from '../../lib/generate/adapter.js';
import { readJsonObject } from '../../lib/io/jsonFile.js';
import { readSafetensorsHeader, readTensorBytes, writeSafetensors } from '../../lib/io/safetensors.js';
import { noiseSchedule } from '../../lib/schedulers/noiseSchedule.js';
import { type Pass, passOf, predict } from './adapter.js';
import { BOUNDS } from './bounds.js';
import type { Checks } from './checks.js';
import type { Pipeline } from './pipeline.js';
import { openReference, type Reference } from './reference.js';

/** A folder with adapters in another program's layout and what that program computes with them. */
interface Foreign {
  readonly pipeline: Pipeline;
  readonly folder: string;
  readonly reference: Reference;
  readonly pass: Pass;
  readonly checks: Checks;
}

/** Checks of a folder of interop/, by the beginning of its name. */
const KINDS: Readonly<Record<string, (pipeline: Pipeline, folder: string, checks: Checks) => Promise<void>>> = {
  peft: checkPeft,
  kohya: checkKohya,
  lycoris: checkLycoris,
  'official-as-plain': checkOfficialAsPlain,
};

/** The check and the pipeline of a folder of interop/, such as `peft-sdxl`; null: of no known kind. */
export function foreignKind(name: string): { of: string; check: (typeof KINDS)[string] } | null {
  const kind = Object.keys(KINDS).find((one) => name.startsWith(`${one}-`));
  return kind === undefined ? null : { of: name.slice(kind.length + 1), check: KINDS[kind]! };
}

async function openForeign(pipeline: Pipeline, folder: string, checks: Checks): Promise<Foreign> {
  const reference = openReference(join(folder, 'expected.safetensors'));
  const [t] = reference.ints('timesteps');
  const pass = await passOf(pipeline, reference, t!);
  const plain = await predict(pipeline, pass);
  const theirs = reference.channelsLast('out.plain');
  checks.each('out.plain', [{ name: 'out.plain', ours: plain, theirs }], BOUNDS.unet);
  return { pipeline, folder, reference, pass, checks };
}

function openFile({ model }: Pipeline, path: string, wish: Partial<AdapterWish> = {}): GenerationAdapter {
  const T = noiseSchedule(model.scheduler).trainTimesteps;
  return openGenerationAdapter(model, T, { path, strength: 1, force: false, ...wish }, () => {});
}

/** Loads a file as `generate` does. */
async function load(pipeline: Pipeline, path: string): Promise<GenerationAdapter> {
  const adapter = openFile(pipeline, path);
  await loadGenerationAdapter(pipeline.session, pipeline.model.unet, adapter);
  return adapter;
}

interface Wanted {
  /** The adapter is loaded. */
  adapter: GenerationAdapter;
  what: string;
  key: string;
  /** Default: as at no noise. */
  rank?: number;
  strength?: number;
}

async function compare(
  { pipeline, pass, reference, checks }: Foreign,
  { adapter, what, key, rank = adapter.activeRank(0), strength = 1 }: Wanted,
): Promise<void> {
  const ours = await predict(pipeline, pass, adapter.sampled.layout, rank, strength);
  const theirs = reference.channelsLast(key);
  checks.each(`${what} ${key}`.trim(), [{ name: key, ours, theirs }], BOUNDS.adapterOutput);
}

/** The outputs `<prefix>scale<s>` of a plain LoRA, or of an adapter without its mask. */
async function checkScales(foreign: Foreign, what: string, path: string, prefix = 'out.'): Promise<void> {
  const adapter = await load(foreign.pipeline, path);
  const { mask, layers } = adapter.file;
  if (mask === null) {
    const full = Math.max(...layers.map(({ rank }) => rank));
    foreign.checks.holds(`${what} has no mask`.trim(), adapter.activeRank(999) === full);
  }
  for (const key of foreign.reference.keys) {
    const scale = key.startsWith(`${prefix}scale`) ? Number(key.slice(prefix.length + 'scale'.length)) : Number.NaN;
    if (Number.isNaN(scale)) continue;
    await compare(foreign, { adapter, what, key, strength: scale });
  }
}

/** Paths of files below a folder, one level deep, by the folder that they lie in ('' for the folder itself). */
function adapterFiles(folder: string): [string, string][] {
  const dirs = ['', ...readdirSync(folder).filter((name) => statSync(join(folder, name)).isDirectory())];
  return dirs.flatMap((dir) =>
    readdirSync(join(folder, dir))
      .filter((name) => name.endsWith('.safetensors') && name !== 'expected.safetensors')
      .map((name): [string, string] => [dir, join(folder, dir, name)]),
  );
}

/** Each dialect that PEFT and diffusers write. */
async function checkPeft(pipeline: Pipeline, folder: string, checks: Checks): Promise<void> {
  const foreign = await openForeign(pipeline, folder, checks);
  for (const [dialect, path] of adapterFiles(folder)) {
    const own = foreign.reference.keys.some((key) => dialect !== '' && key.startsWith(`out.${dialect}.`));
    await checkScales(foreign, dialect, path, own ? `out.${dialect}.` : 'out.');
  }
}

async function checkKohya(pipeline: Pipeline, folder: string, checks: Checks): Promise<void> {
  const foreign = await openForeign(pipeline, folder, checks);
  for (const [dir, path] of adapterFiles(folder)) await checkScales(foreign, dir, path);
  const names = join(folder, 'names.json');
  if (existsSync(names)) checkNames(pipeline, readJsonObject(names), checks);
}

/** Kohya's names of layers, as tlora writes them. */
function checkNames({ model }: Pipeline, names: Record<string, unknown>, checks: Checks): void {
  const paths = [...pipelineLayers(model).get('unet')!.keys()];
  const originals = model.kind === 'sdxl' ? originalPaths(paths, paths) : new Map(paths.map((path) => [path, path]));
  const wrong = Object.entries(names).filter(
    ([path, name]) => `lora_unet_${underscored(originals.get(path) ?? '')}` !== name,
  );
  checks.bounded(`names of ${Object.keys(names).length} layers`, wrong.length, BOUNDS.exact, wrong[0]?.join(' '));
}

/** LyCORIS' T-LoRA: from the layers' weights by mask rank; from a random matrix, refused. */
async function checkLycoris(pipeline: Pipeline, folder: string, checks: Checks): Promise<void> {
  for (const start of readdirSync(folder)) {
    const path = join(folder, start, 'lycoris.safetensors');
    const reference = openReference(join(folder, start, 'expected.safetensors'));
    if (reference.metadata('use_data_init') === false) {
      checks.holds(
        `${start}: refused, as its start is lost`,
        refused(() => openFile(pipeline, path)),
      );
      continue;
    }
    const foreign = await openForeign(pipeline, join(folder, start), checks);
    const adapter = await load(pipeline, path);
    for (const key of reference.keys) {
      const [, rank] = /^out\.(?:r(\d+)|nomask)$/.exec(key) ?? [];
      if (rank !== undefined) await compare(foreign, { adapter, what: start, key, rank: Number(rank) });
      else if (key === 'out.nomask') await compare(foreign, { adapter, what: start, key });
    }
  }
}

function refused(body: () => unknown): boolean {
  try {
    body();
    return false;
  } catch (error) {
    return error instanceof FileFormatError;
  }
}

/** The authors' files as other programs can read them: vanilla with the prefix `unet.`, orthogonal as a plain LoRA of twice the rank. */
async function checkOfficialAsPlain(pipeline: Pipeline, folder: string, checks: Checks): Promise<void> {
  const foreign = await openForeign(pipeline, folder, checks);
  const { reference } = foreign;
  const least = reference.number('min_rank');
  for (const [variant, start] of [
    ['lora', 'official-lora'],
    ['ortho', 'official-ortho'],
  ]) {
    const name = readdirSync(pipeline.expected).find((one) => one.startsWith(start!));
    if (name === undefined) continue;
    const path = join(pipeline.expected, name, 'pytorch_lora_weights.safetensors');
    const adapter = await load(pipeline, path);
    await compare(foreign, { adapter, what: '', key: `${variant}.authors.full_mask` });
    await compare(foreign, { adapter, what: '', key: `${variant}.authors.min_rank_mask`, rank: least });
    if (variant === 'lora') {
      await withPrefix(path, (prefixed) => checkScales(foreign, '', prefixed, 'lora.diffusers.unet_prefix.'));
    }
  }
  for (const [, path] of adapterFiles(folder)) await checkScales(foreign, '', path, 'ortho.rank2R.');
}

/** The same tensors with `unet.` before their keys. */
async function withPrefix(path: string, body: (path: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tlora-parity-'));
  try {
    const copy = join(dir, 'prefixed.safetensors');
    const tensors = [...readSafetensorsHeader(path).tensors.values()];
    await writeSafetensors(
      copy,
      tensors.map((ref) => ({ ...ref, key: `unet.${ref.key}`, data: () => readTensorBytes(ref) })),
    );
    await body(copy);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
