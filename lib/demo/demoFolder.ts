// The folder of a demo: what an earlier demo made there is replaced, and nothing else is touched.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { isOfFormat, makeFolder, outputFolderContents } from '../io/outputFolder.js';

const FORMAT = 'tlora demo 1';

/** By this file a folder is known to be a demo's. */
const markOf = (dir: string): string => join(dir, 'demo.json');

/** Where the pictures of all sides lie. */
export function picturesDir(dir: string): string {
  return join(dir, 'pictures');
}

/**
 * Says whether a demo may use a folder. Touches nothing.
 * @throws ConfigError for a folder that holds something else
 */
export function expectDemoFolder(dir: string): void {
  const [present] = outputFolderContents(dir);
  if (present === undefined || isOfFormat(markOf(dir), FORMAT)) return;
  throw new ConfigError(
    `outputDir: expected a new or empty folder, or that of an earlier demo, got '${dir}', which holds ${present}`,
    { hint: 'Choose another --out.' },
  );
}

/** Takes a folder: removes the page and the pictures of an earlier demo. Its runs are replaced by `train`. */
export async function claimDemoFolder(dir: string, sides: readonly string[]): Promise<void> {
  expectDemoFolder(dir);
  makeFolder(dir);
  await writeFileAtomic(markOf(dir), `${JSON.stringify({ format: FORMAT })}\n`);
  rmSync(join(dir, 'report.html'), { force: true });
  for (const side of sides) {
    const pictures = join(picturesDir(dir), side);
    const made = existsSync(pictures) ? readdirSync(pictures).filter((name) => /^\d+\.png$/.test(name)) : [];
    for (const name of made) rmSync(join(pictures, name));
  }
}
