import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../errors.js';

/** What an adapter is called in the folder of a run, and in that of the authors' programs. */
const USUAL_NAMES = ['adapter.safetensors', 'pytorch_lora_weights.safetensors'];

/** An adapter's path. @throws ConfigError for a folder, naming the adapter in it if there is one */
export function adapterPath(path: string): string {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
  const inside = USUAL_NAMES.map((name) => join(path, name)).find((file) => existsSync(file));
  throw new ConfigError(`adapter: expected a file, got the folder '${path}'`, {
    hint: inside === undefined ? 'Give a .safetensors file.' : `Give ${inside}.`,
  });
}
