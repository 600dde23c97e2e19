import { basename } from 'node:path';
import type { ComputeDevice } from '../../lib/pipeline/device.js';
import { type BoundOf, type Check, checksOf, type Judging, STRICT } from './checks.js';
import { discover, type FoundForeign, type FoundPipeline, resultsIn, type Skipped } from './discover.js';
import { foreignKind } from './foreign.js';
import { type CheckResult, kindOf } from './kinds.js';
import { openPipeline, type Pipeline } from './pipeline.js';
import { besidePlain, plainErrors } from './plainRounding.js';
import { checkSingularValues } from './singularValues.js';

export interface ParityOptions {
  readonly threads: number;
  /** Default: the CPU. */
  readonly device?: ComputeDevice | undefined;
  readonly photo?: string | undefined;
  /** Only results whose `pipeline/name` contains this. */
  readonly filter?: string | undefined;
  readonly onCheck: (check: Check) => void;
  readonly onSkip: (skipped: Skipped) => void;
}

/** Whatever throws is a failed check, so that the others still run. */
async function guarded(source: string, options: ParityOptions, body: () => Promise<void> | void): Promise<void> {
  try {
    await body();
  } catch (error) {
    const note = error instanceof Error ? error.message : String(error);
    checksOf(source, options.onCheck).holds('runs', false, note);
  }
}

async function runPipeline(found: FoundPipeline, options: ParityOptions): Promise<void> {
  const wanted = resultsIn(found).filter((name) => `${found.name}/${name}`.includes(options.filter ?? ''));
  if (wanted.length === 0) return;
  await guarded(found.name, options, async () => {
    const pipeline = openPipeline({ ...found, device: options.device ?? options.threads, photo: options.photo });
    try {
      for (const name of wanted) await runResult(pipeline, name, options);
    } finally {
      pipeline.session.engine.dispose();
    }
  });
}

/** An adapter of another program, on the pipeline that it is for. */
async function runForeign({ folder, ...found }: FoundForeign, options: ParityOptions): Promise<void> {
  if (!found.name.includes(options.filter ?? '')) return;
  const { check } = foreignKind(basename(folder))!;
  await guarded(found.name, options, async () => {
    const pipeline = openPipeline({ ...found, device: options.device ?? options.threads, photo: options.photo });
    try {
      await runCheck(pipeline, found.name, (own, checks) => check(own, folder, checks), options);
    } finally {
      pipeline.session.engine.dispose();
    }
  });
}

async function runResult(pipeline: Pipeline, name: string, options: ParityOptions): Promise<void> {
  const source = `${pipeline.name}/${name.replace(/\.safetensors$/, '')}`;
  const check = kindOf(name);
  if (!check) return options.onSkip({ path: source, reason: 'of no known kind' });
  await runCheck(pipeline, source, check, options);
}

async function runCheck(pipeline: Pipeline, source: string, check: CheckResult, options: ParityOptions): Promise<void> {
  const { device } = options;
  await guarded(source, options, async () => {
    const judging = isHalf(device)
      ? besidePlain(await plainErrors(pipeline, device, check), onCuda)
      : judgingOn(device);
    await check(pipeline, checksOf(source, options.onCheck, judging));
  });
}

function isHalf(device: ComputeDevice | undefined): device is ComputeDevice {
  return device?.compute === 'bf16' || device?.compute === 'f16';
}

/** Other libraries add in another order: float32 on CUDA has three times the CPU's bounds. */
const onCuda: BoundOf = (bound) => 3 * bound;

/** TF32 rounds factors to 2^-11 where float32 has 2^-24. */
function judgingOn(device: ComputeDevice | undefined): Judging {
  if (device === undefined || device.info.kind === 'cpu') return STRICT;
  return { ...STRICT, boundOf: device.precision === 'tf32' ? (bound) => 2 ** 13 * bound : onCuda };
}

/** Checks everything in a folder shaped like the reference fixtures. */
export async function runParity(dir: string, options: ParityOptions): Promise<void> {
  const found = discover(dir);
  for (const skipped of found.skipped) options.onSkip(skipped);
  for (const pipeline of found.pipelines) await runPipeline(pipeline, options);
  for (const foreign of found.foreign) await runForeign(foreign, options);
  for (const path of found.singularValues) {
    const source = basename(path, '.safetensors');
    if (!source.includes(options.filter ?? '')) continue;
    await guarded(source, options, () =>
      checkSingularValues(path, options.device ?? options.threads, checksOf(source, options.onCheck)),
    );
  }
}
