import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { foreignKind } from './foreign.js';

/** A model folder and the folder of the reference's results for it. */
export interface FoundPipeline {
  /** Such as `sd15`, or `interop/legacy-folder-sd15`. */
  readonly name: string;
  readonly dir: string;
  readonly expected: string;
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

/** Folders of interop/: released model folders, checked as the pipeline that they repack, and adapters of other programs. */
function findInterop(dir: string, { pipelines, foreign, skipped }: FoundParts): void {
  for (const folder of names(join(dir, 'interop'))) {
    const name = `interop/${folder}`;
    const path = join(dir, name);
    const [, of] = /^legacy-folder-(.+)$/.exec(folder) ?? [];
    const adapters = foreignKind(folder);
    if (of !== undefined) {
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

/** Files and folders with the reference's results of one pipeline, by name. */
export function resultsIn(expected: string): string[] {
  return names(expected);
}
