// Whole runs on a CUDA device, or the emulated one: they compute what the CPU does, in every precision. Needs TLORA_TEST_DEVICE=cuda.
import { existsSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadAddon } from '../../lib/addon/load.js';
import { NonFiniteError } from '../../lib/errors.js';
import { generate } from '../../lib/generate/generate.js';
import { readSafetensorsHeader, readTensorFloat32 } from '../../lib/io/safetensors.js';
import { CUDA_WORKSPACE_BYTES } from '../../lib/plan/target.js';
import type { TrainOptions } from '../../lib/train/options.js';
import { train } from '../../lib/train/train.js';
import { relativeError } from '../parity/checks.js';
import { onCuda } from '../support/nativeRun.js';
import { eventsOf, filesIn, logOf, tinyTraining, valuesOf } from './tinyTraining.js';

const tiny = tinyTraining('tiny-sd15', 'float16');
const CUDA = { device: 'cuda', steps: 3, learningRate: 1e-3 } satisfies Partial<TrainOptions>;

const lossesOf = (name: string): number[] => logOf(tiny.at(name)).map(({ loss }) => loss as number);

function trained(name: string): Float32Array {
  const { tensors } = readSafetensorsHeader(tiny.at(name, 'state.safetensors'));
  return readTensorFloat32(tensors.get('params.0000')!);
}

const configOf = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(tiny.at(name, 'config.json'), 'utf8')) as Record<string, unknown>;

describe.runIf(onCuda)('a run on CUDA (TLORA_TEST_DEVICE=cuda)', { timeout: 600_000 }, () => {
  it('equals the CPU’s in fp32 within rounding, and is near it in bf16 and fp16', async () => {
    await tiny.run('cpu', { ...CUDA, device: 'cpu' });
    const bounds = { fp32: 1e-5, tf32: 1e-5, fp16: 2e-3, bf16: 1e-2 };
    for (const precision of ['fp32', 'fp16', 'bf16'] as const) {
      const { device } = await tiny.run(precision, { ...CUDA, precision });
      expect(device).toMatchObject({ kind: 'cuda', index: 0 });
      expect(configOf(precision).precision).toBe(precision);
      expect(relativeError(lossesOf(precision), lossesOf('cpu')), precision).toBeLessThan(bounds[precision]);
    }
    expect(relativeError(trained('fp32'), trained('cpu'))).toBeLessThan(1e-5);
  });

  it.each([
    { precision: 'bf16', batch: 2, accumulate: 2 },
    { precision: 'fp16', batch: 1, accumulate: 1 },
  ] as const)(
    'of 1 and 2 steps is the run of 3, bit for bit: $precision, $accumulate batches of $batch',
    async (more) => {
      const name = `whole ${more.precision}`;
      await tiny.run(name, { ...CUDA, ...more });
      const parts = `parts ${more.precision}`;
      await tiny.run(parts, { ...CUDA, ...more, steps: 1 });
      await tiny.run(parts, { ...CUDA, ...more, resume: true });
      expect(valuesOf(tiny.at(parts))).toEqual(valuesOf(tiny.at(name)));
      expect(logOf(tiny.at(parts))).toEqual(logOf(tiny.at(name)));
      const { encode, train } = JSON.parse(readFileSync(tiny.at(name, 'algorithms.json'), 'utf8')) as Record<
        string,
        unknown
      >;
      expect([encode, train]).toEqual([expect.objectContaining({ format: 1 }), expect.objectContaining({ format: 1 })]);
      const scale = readSafetensorsHeader(tiny.at(name, 'state.safetensors')).tensors.get('lossScale');
      expect(scale && [...readTensorFloat32(scale)]).toEqual(more.precision === 'fp16' ? [65536, 3, 3] : undefined);
    },
  );

  it('holds what the forecast says', async () => {
    const events = await eventsOf(train({ ...tiny.options('memory'), ...CUDA, precision: 'bf16', steps: 1 }));
    const forecast = events.find((event) => event.type === 'forecast')!.memory;
    const { peak } = events.findLast((event) => event.type === 'step')!.memory;
    expect(Math.abs((peak - CUDA_WORKSPACE_BYTES) / (forecast - CUDA_WORKSPACE_BYTES) - 1)).toBeLessThan(0.03);
  });

  it('says which library it goes without', async () => {
    const addon = loadAddon();
    const info = addon.info();
    const spied = vi.spyOn(addon, 'info').mockReturnValue({ ...info, cuda: { ...info.cuda, lacking: 'no compiler' } });
    const events = await eventsOf(train({ ...tiny.options('lacking'), ...CUDA, steps: 1 }));
    spied.mockRestore();
    expect(events).toContainEqual({ type: 'warning', code: 'LIBRARY_MISSING', message: 'no compiler' });
  });

  it('refuses to go on in another precision', async () => {
    await tiny.run('bf', { ...CUDA, steps: 1 });
    const other = tiny.run('bf', { ...CUDA, precision: 'fp32', resume: true });
    await expect(other).rejects.toThrow('precision: expected "bf16", as in the run to go on with, got "fp32"');
    const cpu = tiny.run('bf', { ...CUDA, device: 'cpu', resume: true });
    await expect(cpu).rejects.toThrow('precision: expected "bf16"');
  });

  it('names the op of a step that is not finite, and keeps the values and the log before it', async () => {
    const run = tiny.run('huge', { ...CUDA, learningRate: 1e30, steps: 6 });
    await expect(run).rejects.toThrow(NonFiniteError);
    await expect(run).rejects.toThrow(/^step 2: the loss is (?:NaN|Infinity): .*lowRank.*attn1\.to_q/s);
    expect(logOf(tiny.at('huge')).map(({ step }) => step)).toEqual([1]);
    const { metadata } = readSafetensorsHeader(tiny.at('huge', 'state.safetensors'));
    expect(metadata.step).toBe('1');
  });

  it('makes pictures on the way', async () => {
    const sample = { every: 2, prompts: ['a {0}'] };
    await tiny.run('sampled', { ...CUDA, steps: 2, sample, saveEvery: 1 });
    expect(filesIn(tiny.at('sampled'))).toEqual(
      expect.arrayContaining(['checkpoints/adapter-000001.safetensors', 'samples/step-000002-0.png']),
    );
  });
});

/** The algorithms of a run's products, each named once, and the number of those that were tried. */
function productsOf(name: string): { algorithms: string[]; tried: number } {
  type Choices = Record<'choices' | 'times', Record<string, string>>;
  const { encode, train } = JSON.parse(readFileSync(tiny.at(name, 'algorithms.json'), 'utf8')) as Record<
    string,
    Choices
  >;
  const all = [encode!, train!].flatMap(({ choices }) => Object.entries(choices));
  const products = all.flatMap(([shape, algorithm]) => (shape.startsWith('matmul') ? [algorithm] : []));
  return {
    algorithms: [...new Set(products)].sort(),
    tried: Object.keys({ ...encode!.times, ...train!.times }).length,
  };
}

const emulated = onCuda && process.env.TLORA_PLANTED !== undefined;
describe.runIf(emulated)('algorithms, with planted times (emulated device)', { timeout: 600_000 }, () => {
  afterEach(() => vi.unstubAllEnvs());

  it('that were found fastest are those of later runs on the machine; a deterministic run takes the first', async () => {
    vi.stubEnv('XDG_CACHE_HOME', tiny.at('cache'));
    vi.stubEnv('TLORA_EMULATED_TIMES', 'matmul=3,2');
    const steps = 1;
    await tiny.run('first', { ...CUDA, steps });
    const { algorithms, tried } = productsOf('first');
    expect(algorithms).toEqual(['emulated 1']);
    expect(tried).toBeGreaterThan(10);
    const [file, ...others] = filesIn(tiny.at('cache')).filter((name) => name.endsWith('.json'));
    expect(others).toEqual([]);
    expect(file).toBe('tlora/algorithms/emulated-cublasLt-emulated-cudnn-emulated.json');

    vi.stubEnv('TLORA_EMULATED_TIMES', 'matmul=1,2');
    await tiny.run('later', { ...CUDA, steps });
    expect(productsOf('later')).toEqual({ algorithms: ['emulated 1'], tried });
    await tiny.run('without', { ...CUDA, steps, algorithmCache: false });
    expect(productsOf('without')).toEqual({ algorithms: ['emulated 0'], tried });
    await tiny.run('fixed', { ...CUDA, steps, deterministic: true });
    expect(productsOf('fixed')).toEqual({ algorithms: ['emulated 0'], tried: 0 });
    expect(configOf('fixed').deterministic).toBe(true);

    const other = tiny.run('first', { ...CUDA, steps: 2, deterministic: true, resume: true });
    await expect(other).rejects.toThrow('deterministic: expected false, as in the run to go on with, got true');
    await tiny.run('without', { ...CUDA, steps: 2, resume: true });
    expect(productsOf('without')).toEqual({ algorithms: ['emulated 0'], tried });
  });
});

describe.runIf(onCuda)('pictures made on CUDA (TLORA_TEST_DEVICE=cuda)', { timeout: 600_000 }, () => {
  it('are those of the CPU, but for rounding', async () => {
    await tiny.run('subject', { device: 'cpu', steps: 3 });
    const adapter = tiny.at('subject', 'adapter.safetensors');
    const pixels = async (name: string, more: object): Promise<number[]> => {
      const shared = {
        model: tiny.model,
        adapter,
        prompt: 'a {0}',
        steps: 3,
        size: 64,
        outputDir: tiny.at(name),
        ...more,
      };
      const { pictures } = await generate(shared);
      expect(existsSync(pictures[0]!.path)).toBe(true);
      return [...(await sharp(pictures[0]!.path).raw().toBuffer())];
    };
    const expected = await pixels('pictures cpu', { device: 'cpu' });
    const worst = (got: number[]): number => Math.max(...got.map((level, i) => Math.abs(level - expected[i]!)));
    expect(worst(await pixels('pictures fp32', { device: 'cuda', precision: 'fp32' }))).toBeLessThanOrEqual(1);
    expect(relativeError(await pixels('pictures bf16', { device: 'cuda' }), expected)).toBeLessThan(0.05);
  });
});
