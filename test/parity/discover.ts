import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

/** A model folder and the folder of the reference's results for it. */
export interface FoundPipeline {
  /** Such as `sd15`, or `interop/legacy-folder-sd15`. */
  readonly name: string;
  readonly dir: string;
  readonly expected: string;
}

/** Something in the folder that is not checked, and why. */
export interface Skipped {
  readonly path: string;
  readonly reason: string;
}

export interface Found {
  readonly pipelines: readonly FoundPipeline[];
  /** Draws of starts' singular values. */
  readonly singularValues: readonly string[];
  readonly skipped: readonly Skipped[];
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
const names = (dir: string): string[] => (isFolder(dir) ? readdirSync(dir).sort() : []);

const DESCRIPTIONS = /\.(md|json|txt)$/;
const FOREIGN = 'adapters and checkpoints in other programs’ layouts are not read';

/** Finds what a folder of reference results holds. */
export function discover(dir: string): Found {
  const pipelines: FoundPipeline[] = [];
  const singularValues: string[] = [];
  const skipped: Skipped[] = [];
  for (const name of names(dir)) {
    const path = join(dir, name);
    const [, kind, rest] = /^(tiny|expected)-(.+)$/.exec(name) ?? [];
    if (kind !== undefined && isFolder(path)) {
      const other = `${kind === 'tiny' ? 'expected' : 'tiny'}-${rest}`;
      if (!isFolder(join(dir, other))) skipped.push({ path: name, reason: `there is no ${other}` });
      else if (kind === 'tiny') pipelines.push({ name: rest!, dir: path, expected: join(dir, other) });
    } else if (/^init-singular-values.*\.safetensors$/.test(name)) singularValues.push(path);
    else if (name === 'interop') findInterop(dir, pipelines, skipped);
    else if (!DESCRIPTIONS.test(name)) skipped.push({ path: name, reason: 'of no known kind' });
  }
  return { pipelines, singularValues, skipped };
}

/** Folders of interop/: released model folders, checked as the pipeline that they repack; other layouts are left out. */
function findInterop(dir: string, pipelines: FoundPipeline[], skipped: Skipped[]): void {
  for (const name of names(join(dir, 'interop'))) {
    const path = join(dir, 'interop', name);
    const [, of] = /^legacy-folder-(.+)$/.exec(name) ?? [];
    const expected = join(dir, `expected-${of}`);
    if (of !== undefined && isFolder(expected)) pipelines.push({ name: `interop/${name}`, dir: path, expected });
    else if (of !== undefined) skipped.push({ path: `interop/${name}`, reason: `there is no ${basename(expected)}` });
    else if (!DESCRIPTIONS.test(name)) skipped.push({ path: `interop/${name}`, reason: FOREIGN });
  }
}

/** Files and folders with the reference's results of one pipeline, by name. */
export function resultsIn(expected: string): string[] {
  return names(expected);
}
