import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { foreignKind } from './foreign.js';

/** A model folder and the folder of the reference's results for it. */
export interface FoundPipeline {
  /** Such as `sd15`, or `interop/legacy-folder-sd15`. */
  readonly name: string;
  /** The model folder, or a single file. */
  readonly dir: string;
  /** With a single file: the folder of its configs and tokenizers. */
  readonly config?: string;
  readonly expected: string;
  /** Those results of `expected` that hold for it; absent: all. */
  readonly only?: readonly string[];
}

/** A folder with an adapter in another program's layout, for one of the pipelines. */
export interface FoundForeign extends FoundPipeline {
  /** Such as `interop/peft-sdxl`. */
  readonly name: string;
  readonly folder: string;
}

/** Something in the folder that is not checked, and why. */
export interface Skipped {
  readonly path: string;
  readonly reason: string;
}

export interface Found {
  readonly pipelines: readonly FoundPipeline[];
  readonly foreign: readonly FoundForeign[];
  /** Draws of starts' singular values. */
  readonly singularValues: readonly string[];
  readonly skipped: readonly Skipped[];
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
const names = (dir: string): string[] => (isFolder(dir) ? readdirSync(dir).sort() : []);

const SINGLE_FILE = 'model.safetensors';
const DESCRIPTIONS = /\.(md|json|txt)$/;
const FOREIGN = 'of no known kind of other programs’ files';

/** Finds what a folder of reference results holds. */
export function discover(dir: string): Found {
  const pipelines: FoundPipeline[] = [];
  const singularValues: string[] = [];
  const foreign: FoundForeign[] = [];
  const skipped: Skipped[] = [];
  for (const name of names(dir)) {
    const path = join(dir, name);
    const [, kind, rest] = /^(tiny|expected)-(.+)$/.exec(name) ?? [];
    if (kind !== undefined && isFolder(path)) {
      const other = `${kind === 'tiny' ? 'expected' : 'tiny'}-${rest}`;
      if (!isFolder(join(dir, other))) skipped.push({ path: name, reason: `there is no ${other}` });
      else if (kind === 'tiny') pipelines.push({ name: rest!, dir: path, expected: join(dir, other) });
    } else if (/^init-singular-values.*\.safetensors$/.test(name)) singularValues.push(path);
    else if (name === 'interop') findInterop(dir, { pipelines, foreign, skipped });
    else if (!DESCRIPTIONS.test(name)) skipped.push({ path: name, reason: 'of no known kind' });
  }
  return { pipelines, foreign, singularValues, skipped };
}

interface FoundParts {
  pipelines: FoundPipeline[];
  foreign: FoundForeign[];
  skipped: Skipped[];
}

/** Folders of interop/: released model folders, checked as the pipeline that they repack, single files, and adapters of other programs. */
function findInterop(dir: string, found: FoundParts): void {
  const { pipelines, foreign, skipped } = found;
  for (const folder of names(join(dir, 'interop'))) {
    const name = `interop/${folder}`;
    const path = join(dir, name);
    const [, of] = /^legacy-folder-(.+)$/.exec(folder) ?? [];
    const adapters = foreignKind(folder);
    if (folder === 'single-file') findSingleFiles(dir, found);
    else if (of !== undefined) {
      const expected = join(dir, `expected-${of}`);
      if (isFolder(expected)) pipelines.push({ name, dir: path, expected });
      else skipped.push({ path: name, reason: `there is no ${basename(expected)}` });
    } else if (adapters) {
      const [model, expected] = [join(dir, `tiny-${adapters.of}`), join(dir, `expected-${adapters.of}`)];
      if (isFolder(model)) foreign.push({ name, dir: model, expected, folder: path });
      else skipped.push({ path: name, reason: `there is no ${basename(model)}` });
    } else if (!DESCRIPTIONS.test(folder)) skipped.push({ path: name, reason: FOREIGN });
  }
}

/** Results of the model folder that its single file has, too: the autoencoder's numbers alone are rounded there. */
const SAME_IN_A_FILE = ['text.safetensors', 'unet.safetensors'];

/** interop/single-file/<model>/model.safetensors: that model in one file, with results of its own. */
function findSingleFiles(dir: string, { pipelines, skipped }: FoundParts): void {
  for (const model of names(join(dir, 'interop', 'single-file'))) {
    const name = `interop/single-file/${model}`;
    const [file, config] = [join(dir, name, SINGLE_FILE), join(dir, model)];
    if (!existsSync(file)) skipped.push({ path: name, reason: `there is no ${SINGLE_FILE}` });
    else if (!isFolder(config)) skipped.push({ path: name, reason: `there is no ${model} for its configs` });
    else {
      pipelines.push({ name, dir: file, config, expected: join(dir, name) });
      const folders = join(dir, model.replace(/^tiny-/, 'expected-'));
      if (folders !== config) pipelines.push({ name, dir: file, config, expected: folders, only: SAME_IN_A_FILE });
    }
  }
}

/** Files and folders with the reference's results of one pipeline, by name. */
export function resultsIn({ expected, only }: Pick<FoundPipeline, 'expected' | 'only'>): string[] {
  const results = names(expected).filter((name) => name !== SINGLE_FILE && !DESCRIPTIONS.test(name));
  return only ? results.filter((name) => only.includes(name)) : results;
}
