import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, FileFormatError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { readJsonObject } from '../io/jsonFile.js';
import { readSafetensorsHeader, readTensorFloat32, type TensorToWrite, writeSafetensors } from '../io/safetensors.js';
import type { FlatLayout } from '../params/flatLayout.js';
import type { GateFigures } from './gates.js';
import { COMPONENT, networkLayout } from './network.js';
import type { EvaluatorSettings, EvaluatorSizes } from './settings.js';

const FORMAT = 'tlora evaluators 1';
const WEIGHTS = 'evaluators.safetensors';

/** The evaluators' folder of the package. */
export const EVALUATORS_DIR: string = fileURLToPath(new URL('../../models/evaluators', import.meta.url));

/** What a folder of evaluators says of itself. */
export interface EvaluatorConfig {
  readonly format: typeof FORMAT;
  readonly sizes: EvaluatorSizes;
  /** How they were trained. */
  readonly settings: EvaluatorSettings;
  /** Measured on the float16 weights of the folder. */
  readonly gates: GateFigures;
  /** SHA-256 of the weights' file, hexadecimal. */
  readonly sha256: string;
}

/** Evaluators read from a folder. */
export interface EvaluatorFiles {
  readonly config: EvaluatorConfig;
  readonly layout: FlatLayout;
  /** All of `layout`. */
  readonly values: Float32Array;
}

const keyOf = (name: string): string => name.slice(COMPONENT.length + 1);

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/**
 * Writes the weights alone, float16. Convolutions are stored as [out, kh, kw, in].
 * @param values of the network's layout
 * @returns the file's checksum
 * @throws FileWriteError
 */
export async function writeEvaluatorWeights(dir: string, sizes: EvaluatorSizes, values: Float32Array): Promise<string> {
  mkdirSync(dir, { recursive: true });
  const tensors = [...networkLayout(sizes).entries].map(
    ([name, { offset, count, shape }]): TensorToWrite => ({
      key: keyOf(name),
      dtype: 'F16',
      shape,
      data: values.subarray(offset, offset + count),
    }),
  );
  const path = join(dir, WEIGHTS);
  await writeSafetensors(path, tensors, { format: FORMAT });
  return digest(path);
}

/** Writes config.json beside the weights. @throws FileWriteError */
export async function writeEvaluatorConfig(
  dir: string,
  config: Omit<EvaluatorConfig, 'format' | 'sizes'>,
): Promise<void> {
  const all: EvaluatorConfig = { format: FORMAT, sizes: config.settings.sizes, ...config };
  await writeFileAtomic(join(dir, 'config.json'), `${JSON.stringify(all, null, 2)}\n`);
}

/** The weights of a folder, in the network's layout. @throws FileFormatError naming the first tensor that does not fit */
export function readEvaluatorWeights(dir: string, sizes: EvaluatorSizes): Pick<EvaluatorFiles, 'layout' | 'values'> {
  const { path, tensors } = readSafetensorsHeader(join(dir, WEIGHTS));
  const layout = networkLayout(sizes);
  const values = new Float32Array(layout.total);
  for (const [name, { offset, shape }] of layout.entries) {
    const ref = tensors.get(keyOf(name));
    if (ref?.shape.join() !== shape.join())
      throw new FileFormatError(
        `${path}: ${keyOf(name)}: expected [${shape.join(', ')}], got ${ref ? `[${ref.shape.join(', ')}]` : 'no such key'}`,
      );
    values.set(readTensorFloat32(ref), offset);
  }
  return { layout, values };
}

/**
 * Opens evaluators and checks their weights against the checksum.
 * @param dir default: those of the package
 * @throws ConfigError if there are none; FileFormatError for a folder or file that is not what it says
 */
export function openEvaluatorFiles(dir: string = EVALUATORS_DIR): EvaluatorFiles {
  if (!existsSync(join(dir, 'config.json')))
    throw new ConfigError(`evaluators: expected a folder with config.json and ${WEIGHTS}, found none at ${dir}`, {
      hint: 'This version comes without trained evaluators: make them with npm run pretrain:evaluators.',
    });
  const config = readJsonObject(join(dir, 'config.json')) as unknown as EvaluatorConfig;
  if (config.format !== FORMAT)
    throw new FileFormatError(`${dir}/config.json: format: expected ${FORMAT}, got ${String(config.format)}`);
  const sha256 = digest(join(dir, WEIGHTS));
  if (sha256 !== config.sha256)
    throw new FileFormatError(`${dir}/${WEIGHTS}: expected SHA-256 ${config.sha256}, got ${sha256}`, {
      hint: 'The weights were changed or not copied whole.',
    });
  return { config, ...readEvaluatorWeights(dir, config.sizes) };
}
