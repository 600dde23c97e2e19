// LyCORIS' T-LoRA: P = p_layer [out, r], Q = q_layer [r, in], Λ = lambda_layer [1, r], and alpha. The change is
// alpha/r · (PΛQ − P0Λ0Q0); the start P0, Λ0, Q0 is not in the file. It is drawn again from the layer's weight where it came from there.
import { FileFormatError } from '../errors.js';
import { readTensorFloat32 } from '../io/safetensors.js';
import type { SingularRange } from '../ops/gaussianSingularValues.js';
import type { AdapterFile, AssumedMask } from './adapterFile.js';
import { DEFAULT_START } from './adapterSpec.js';
import type { ForeignValue, ResolvedLayer } from './foreignKeys.js';
import { adaptedLayer, alphaOf, expectOnly, floatsOf, matrixOf } from './plainFile.js';

/** Singular components of the layer's weight from which training started. */
export type LycorisStart = SingularRange;

type Metadata = Readonly<Record<string, string>>;

/** Our kinds of values as theirs. */
const THEIRS: Readonly<Record<string, ForeignValue>> = { lora_up: 'p', lora_down: 'q', lora_lambda: 'lambda' };

/** What the hosts of LyCORIS record of a training run: `ss_network_args`, or SimpleTuner's `lycoris_config`. */
function recorded(metadata: Metadata): Readonly<Record<string, unknown>> {
  return { ...fieldsOf(metadata.lycoris_config), ...fieldsOf(metadata.ss_network_args) };
}

function fieldsOf(text: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

const isFalse = (value: unknown): boolean => value === false || /^(false|0|no)$/i.test(String(value));

/** @throws FileFormatError for a start that cannot be drawn again */
function startOf(path: string, args: Readonly<Record<string, unknown>>, given?: LycorisStart): LycorisStart {
  if (given) return given;
  if (args.use_data_init !== undefined && isFalse(args.use_data_init)) {
    throw new FileFormatError(
      `[adapter] ${path}: expected a T-LoRA of LyCORIS that started from the layers' weights, got one that started from random matrices (use_data_init False)`,
      {
        hint: 'The file does not hold its start, which cannot be found again: it cannot be used, here or in any other program.',
      },
    );
  }
  const which = args.sig_type ?? 'principal';
  if (which === 'principal' || which === 'last' || which === 'middle') return which;
  throw new FileFormatError(
    `[adapter] ${path}: sig_type: expected principal, last or middle, got ${JSON.stringify(which)}`,
  );
}

/** Hosts use all ranks at no noise, one at the highest and a straight line between, unless told otherwise. */
function maskOf(args: Readonly<Record<string, unknown>>): AssumedMask {
  const number = (name: string, usual: number): number => {
    const value = Number(args[name]);
    return args[name] !== undefined && Number.isFinite(value) && value > 0 ? value : usual;
  };
  const named = args.tlora_min_rank !== undefined;
  return { minRank: Math.trunc(number('tlora_min_rank', 1)), alpha: number('tlora_alpha', 1), recorded: named };
}

/** The file's T-LoRA of one model. */
export function lycorisAdapter(
  path: string,
  layers: readonly ResolvedLayer[],
  metadata: Metadata,
  given?: LycorisStart,
): AdapterFile {
  const args = recorded(metadata);
  const which = startOf(path, args, given);
  const byPath = new Map(layers.map((one) => [one.layer.path, one]));
  const adapted = layers.map((one) => {
    expectOnly(path, one, ['p', 'q', 'lambda', 'alpha']);
    const layer = adaptedLayer(path, one, ['p', 'q']);
    const [rows, columns] = matrixOf(path, one, 'lambda');
    if (rows === 1 && columns === layer.rank && layer.rank <= Math.min(layer.in, layer.out)) return layer;
    throw new FileFormatError(
      `[adapter] ${path}: lambda_layer of '${one.name}': expected [1, ${layer.rank}], got [${rows}, ${columns}]`,
    );
  });
  const scales = new Map(
    adapted.map(({ path: layer, rank }) => [layer, (alphaOf(path, byPath.get(layer)!) ?? rank) / rank]),
  );
  const rank = Math.max(...adapted.map((layer) => layer.rank));
  const start = { ...DEFAULT_START, from: 'weight' as const, which };
  return {
    path,
    info: null,
    mask: maskOf(args),
    layers: adapted,
    orthogonal: true,
    drawn: {
      spec: { variant: 'tlora', rank, start, orthogonal: 'init' },
      seed: 0,
      scale: (layer) => scales.get(layer)!,
      assumed: given === undefined && args.sig_type === undefined,
    },
    differences: false,
    text: new Map(),
    change: (name) => {
      const [, layer, kind] = /^(.+)\.(lora_\w+)\.weight$/.exec(name)!;
      const values = readTensorFloat32(floatsOf(path, byPath.get(layer!)!, THEIRS[kind!]!));
      return kind === 'lora_lambda' ? values.map((v) => v * scales.get(layer!)!) : values;
    },
    start: (name) => {
      throw new FileFormatError(`[adapter] ${path}: start of '${name}': the file does not hold it`);
    },
  };
}
