import { join } from 'node:path';
import { checkAdapter } from './adapter.js';
import type { Checks } from './checks.js';
import { checkOfficial } from './official.js';
import type { Pipeline } from './pipeline.js';
import { below, openReference, type Reference } from './reference.js';
import { checkSample } from './sample.js';
import { checkSchedulers } from './schedulers.js';
import { checkText } from './text.js';
import { checkTrain } from './train.js';
import { checkUnet } from './unet.js';
import { checkVae } from './vae.js';

/** Results of several kinds in one file, under prefixes. */
async function checkAll(pipeline: Pipeline, reference: Reference, checks: Checks): Promise<void> {
  await checkUnet(pipeline, below(reference, 'unet.'), checks);
  await checkVae(pipeline, below(reference, 'vae.'), checks);
}

type CheckFile = (pipeline: Pipeline, reference: Reference, checks: Checks) => Promise<void>;

const FILES: Readonly<Record<string, CheckFile>> = {
  text: checkText,
  vae: checkVae,
  unet: checkUnet,
  schedulers: checkSchedulers,
  adapter: checkAdapter,
  train: checkTrain,
  sample: checkSample,
  expected: checkAll,
};

/** A check of one result. */
export type CheckResult = (pipeline: Pipeline, checks: Checks) => Promise<void>;

/** The check for a result of the reference, by its name; undefined: of no known kind. */
export function kindOf(name: string): CheckResult | undefined {
  if (name.startsWith('official-'))
    return (pipeline, checks) => checkOfficial(pipeline, join(pipeline.expected, name), checks);
  const [, kind] = /^([a-z]+)(?:-[\w.-]+)?\.safetensors$/.exec(name) ?? [];
  const check = kind !== undefined && Object.hasOwn(FILES, kind) ? FILES[kind] : undefined;
  return check && ((pipeline, checks) => check(pipeline, openReference(join(pipeline.expected, name)), checks));
}
