import { describe, expect, it } from 'vitest';
import { AbortError, ConfigError, TloraError } from '../../lib/errors.js';
import { resolveTrainOptions, trainOptionNames } from '../../lib/train/options.js';
import { type Settings, tlora, trained } from './recorder.js';

const least = ['train', 'dog.jpg', '--model', 'model', '--class', 'dog'];

/** Every flag of `train` with a value that is not the default. */
const all: Record<string, [flags: string[], value: unknown]> = {
  model: [['--model', 'm'], 'm'],
  images: [[], ['a.jpg', 'b.jpg']],
  captions: [
    ['--caption', 'one', 'two'],
    ['one', 'two'],
  ],
  className: [['--class', 'cat'], 'cat'],
  token: [['--token', 'xyz'], 'xyz'],
  prompt: [['--prompt', 'my {0}'], 'my {0}'],
  variant: [['--variant', 'ortho'], 'ortho'],
  config: [['--config', 'folder'], 'folder'],
  start: [['--start', 'weight'], 'weight'],
  components: [['--components', 'middle'], 'middle'],
  frames: [['--frames', 'reference'], 'reference'],
  orthogonal: [['--orthogonal', 'retract'], 'retract'],
  rank: [['--rank', '8'], 8],
  minRank: [['--min-rank', '8'], 8],
  alpha: [['--alpha', '1.5'], 1.5],
  steps: [['--steps', '1e3'], 1000],
  learningRate: [['--learning-rate', '2e-4'], 2e-4],
  weightDecay: [['--weight-decay', '0'], 0],
  batch: [['--batch', '2'], 2],
  accumulate: [['--accumulate', '3'], 3],
  clip: [['--clip', '.5'], 0.5],
  seed: [['--seed', '7'], 7],
  resolution: [['--resolution', '256'], 256],
  threads: [['--threads', '1'], 1],
  device: [['--device', 'cuda:0'], 'cuda:0'],
  precision: [['--precision', 'fp16'], 'fp16'],
  deterministic: [['--deterministic'], true],
  algorithmCache: [['--no-algorithm-cache'], false],
  memory: [['--memory', '9GB'], '9GB'],
  saveEvery: [['--save-every', '10'], 10],
  sample: [['--sample-every', '5', '--sample-prompt', 'p', 'q'], { every: 5, prompts: ['p', 'q'] }],
  watch: [
    ['--watch', '--watch-every', '9', '--watch-draws', '3', '--watch-samples', '1', '--watch-prompt', 'w {0}'],
    { every: 9, draws: 3, samples: 1, prompt: 'w {0}' },
  ],
  outputDir: [['--out', 'runs/x'], 'runs/x'],
  compact: [['--compact'], true],
  dtype: [['--dtype', 'float16'], 'float16'],
  resume: [['--resume'], true],
  overwrite: [['--overwrite'], true],
};

const refuses = async (more: string[], message: string): Promise<void> => {
  const body: Settings['body'] = async () => trained;
  const result = await tlora([...least, ...more], { body });
  expect(result.err).toContain(message);
  expect(result.status).toBe(2);
  expect(result.out).toBe('');
};

describe('tlora train', () => {
  it('prints the adapter path on stdout and the rest on stderr', async () => {
    const { out, err, status, train } = await tlora(least);
    expect(out).toBe('runs/dog/adapter.safetensors\n');
    expect(err).toBe('completed after 3 steps, loss 0.2500, 1m 01s\n');
    expect(status).toBe(0);
    expect(train).toMatchObject({ model: 'model', className: 'dog', images: ['dog.jpg'] });
  });

  it('has a flag for each option, and passes its value on', async () => {
    const notFlags = ['image', 'signal', 'onStep', 'onEvent'];
    expect(Object.keys(all).sort()).toEqual(trainOptionNames.filter((name) => !notFlags.includes(name)).sort());
    const { train, err } = await tlora(['train', 'a.jpg', 'b.jpg', ...Object.values(all).flatMap(([flags]) => flags)]);
    expect(err).not.toContain('error');
    const { onEvent: _onEvent, ...options } = train!;
    expect(options).toEqual(Object.fromEntries(Object.entries(all).map(([name, [, value]]) => [name, value])));
    const fitting = { variant: 'tlora', frames: 'haar', overwrite: false } as const; // with all the others
    expect(resolveTrainOptions({ ...train!, ...fitting })).toMatchObject({ rank: 8, steps: 1000 });
  });

  it('samples with the training prompt when none is given', async () => {
    const { train } = await tlora([...least, '--sample-every', '5']);
    expect(train?.sample).toEqual({ every: 5, prompts: ['a photo of {0}'] });
  });

  it('prints JSON', async () => {
    const { out } = await tlora([...least, '--json', '--quiet']);
    expect(JSON.parse(out)).toEqual(trained);
  });

  it('says nothing on stderr with --quiet', async () => {
    const { err } = await tlora([...least, '--quiet']);
    expect(err).toBe('');
  });

  it('refuses what it cannot understand, with status 2', async () => {
    await refuses(['--rank', '12abc'], "option '--rank <n>' argument '12abc' is invalid. Expected a number.");
    await refuses(['--rank', ''], "argument '' is invalid");
    await refuses(['--seed', '0x10'], "argument '0x10' is invalid");
    await refuses(['--steps', 'Infinity'], "argument 'Infinity' is invalid");
    await refuses(['--variant', 'dora'], 'Allowed choices are tlora, vanilla, ortho, lora.');
    await refuses(['--rnak', '4'], "unknown option '--rnak'\n(Did you mean --rank?)");
    await refuses(['--learningRate', '4'], 'Did you mean --learning-rate?');
    await refuses(['--sample-prompt', 'x'], '--sample-prompt: expected --sample-every with it');
  });

  it('names what is missing', async () => {
    const { err, status } = await tlora(['train', 'dog.jpg', '--class', 'dog']);
    expect(err).toContain('--model: expected a value, got none');
    expect(status).toBe(2);
    const eaten = await tlora(['train', '--model', 'm', '--class', 'dog', '--caption', 'a {0}', 'dog.jpg']);
    expect(eaten.err).toContain("missing required argument 'picture'");
    expect(eaten.err).toContain('Put pictures before flags that take several values.');
  });
});

describe('a failing run', () => {
  const failing = (error: unknown, env: Record<string, string> = {}): ReturnType<typeof tlora> =>
    tlora(least, {
      env,
      body: async () => {
        throw error;
      },
    });

  it('names options by their flags', async () => {
    const message = (error: Error): Promise<string> => failing(error).then(({ err }) => err);
    expect(await message(new ConfigError('minRank: expected at most the rank'))).toBe(
      'error: --min-rank: expected at most the rank\n',
    );
    expect(await message(new ConfigError('sample.every: expected'))).toBe('error: --sample-every: expected\n');
    expect(await message(new ConfigError('captions.0: expected'))).toBe('error: --caption: expected\n');
    expect(await message(new ConfigError('images.1: expected'))).toBe('error: picture: expected\n');
    expect(await message(new ConfigError('unet: expected'))).toBe('error: unet: expected\n');
  });

  it('exits 2 for bad options and 1 for all else, with the hint', async () => {
    const config = await failing(new ConfigError('rank: expected 1', { hint: 'Lower it.' }));
    expect(config).toMatchObject({ status: 2, err: 'error: --rank: expected 1\nLower it.\n', out: '' });
    expect(await failing(new TloraError('ERR_TLORA_X', 'broken'))).toMatchObject({ status: 1, err: 'error: broken\n' });
    expect(await failing('a string')).toMatchObject({ status: 1, err: 'error: a string\n' });
  });

  it('shows the stack only with TLORA_DEBUG=1', async () => {
    expect((await failing(new Error('broken'))).err).not.toContain('    at ');
    const { err } = await failing(new Error('broken', { cause: new Error('below') }), { TLORA_DEBUG: '1' });
    expect(err).toContain('    at ');
    expect(err).toContain('cause: Error: below');
  });
});

describe('Ctrl-C', () => {
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('once: the run stops and its result is printed, status 130', async () => {
    const { out, err, status } = await tlora(least, {
      body: async (control, interrupt) => {
        interrupt();
        while (!control.stopRequested) await turn();
        return { ...trained, stopReason: 'stopped' };
      },
    });
    expect(out).toBe('runs/dog/adapter.safetensors\n');
    expect(err).toContain('stopping: this step is finished and saved');
    expect(err).toContain('stopped after 3 steps');
    expect(status).toBe(130);
  });

  it('twice: the run is aborted, status 130 and nothing on stdout', async () => {
    const { out, err, status } = await tlora(least, {
      body: async (control, interrupt) => {
        interrupt();
        interrupt();
        while (!control.signal.aborted) await turn();
        throw new AbortError();
      },
    });
    expect(out).toBe('');
    expect(err).toContain('aborted\n');
    expect(status).toBe(130);
  });
});
