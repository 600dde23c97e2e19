import { describe, expect, it } from 'vitest';
import { activeRank } from '../../lib/adapters/rankSchedule.js';
import { AbortError } from '../../lib/errors.js';
import { generateOptionNames } from '../../lib/generate/options.js';
import manifest from '../../package.json' with { type: 'json' };
import { type Settings, tlora } from './recorder.js';

describe('tlora', () => {
  it('prints its version and its commands', async () => {
    expect(await tlora(['--version'])).toMatchObject({ out: `${manifest.version}\n`, err: '', status: 0 });
    const { out, err, status } = await tlora(['--help']);
    expect({ err, status }).toEqual({ err: '', status: 0 });
    expect(out).toMatchInlineSnapshot(`
      "Usage: tlora [options] [command]

      Fine-tune a text-to-image diffusion model on one picture with T-LoRA.

      Options:
        --version                     print the version
        -h, --help                    display help for command

      Commands:
        demo [options]                train LoRA and T-LoRA on one picture with the
                                      small model of the package, and compare them
        train [options] <picture...>  fine-tune a model on one picture (or a few);
                                      prints the path of the adapter
        generate [options]            make pictures with a model and an adapter;
                                      prints their paths
        evaluate [options]            judge a run on the mini model: fidelity,
                                      alignment, leak, copies
        report [options]              write one HTML page on a run, or on several side
                                      by side; prints its path
        convert [options] <adapter>   write an adapter in another layout, for other
                                      programs; prints its path
        plan [options]                show what training would need, without reading
                                      weights
        schedule [options]            print and draw the rank schedule r(t)
        doctor [options]              check the addon, the processor, CUDA and memory,
                                      and name the fix for what is missing
        build                         build the native addon (needed where install
                                      scripts did not run)
        help [command]                display help for command
      "
    `);
  });

  it('gives the nearest command for a misspelt one', async () => {
    const { err, status, out } = await tlora(['trian', 'x.jpg']);
    expect(err).toContain("unknown command 'trian'\n(Did you mean train?)");
    expect({ status, out }).toEqual({ status: 2, out: '' });
  });

  it('gives the nearest flag for a misspelt one, even when a flag is missing because of it', async () => {
    const { err, status } = await tlora(['train', 'x.jpg', '--modl', 'dir', '--class', 'dog']);
    expect(err).toContain("unknown option '--modl'\n(Did you mean --model?)");
    expect(status).toBe(2);
  });

  it('without a command shows the help on stderr, with status 2', async () => {
    const { err, status, out } = await tlora([]);
    expect(err).toContain('Usage: tlora');
    expect({ status, out }).toEqual({ status: 2, out: '' });
  });
});

describe('tlora generate', () => {
  const least = ['generate', '--model', 'm', '--prompt', 'a {0}'];
  const all: Record<string, [flags: string[], value: unknown]> = {
    model: [['--model', 'x'], 'x'],
    config: [['--config', 'folder'], 'folder'],
    adapter: [['--adapter', 'a.safetensors'], 'a.safetensors'],
    prompt: [['--prompt', 'p'], 'p'],
    negativePrompt: [['--negative-prompt', 'n'], 'n'],
    count: [['--count', '4'], 4],
    steps: [['--steps', '10'], 10],
    guidance: [['--guidance', '7.5'], 7.5],
    seed: [['--seed', '9'], 9],
    size: [['--size', '768x512'], { width: 768, height: 512 }],
    strength: [['--strength', '-0.5'], -0.5],
    sampler: [['--sampler', 'dpmpp2m'], 'dpmpp2m'],
    karras: [['--karras'], true],
    threads: [['--threads', '2'], 2],
    device: [['--device', 'cuda:1'], 'cuda:1'],
    precision: [['--precision', 'bf16'], 'bf16'],
    deterministic: [['--deterministic'], true],
    algorithmCache: [['--no-algorithm-cache'], false],
    memory: [['--memory', '1GiB'], '1GiB'],
    outputDir: [['--out', 'o'], 'o'],
    force: [['--force'], true],
    unetOnly: [['--unet-only'], true],
    components: [['--components', 'middle'], 'middle'],
  };

  it('prints the paths of its pictures', async () => {
    expect(await tlora(least)).toMatchObject({ out: 'pictures/0.png\n', err: '1 picture in 1s\n', status: 0 });
    expect(JSON.parse((await tlora([...least, '--json'])).out)).toMatchObject({ pictures: [{ seed: 0 }] });
  });

  it('has a flag for each option, and passes its value on', async () => {
    const names = generateOptionNames.filter((name) => name !== 'signal' && name !== 'onEvent');
    expect(Object.keys(all).sort()).toEqual(names.toSorted());
    const { generate, err } = await tlora(['generate', ...Object.values(all).flatMap(([flags]) => flags)]);
    expect(err).not.toContain('error');
    expect(generate).toMatchObject(Object.fromEntries(Object.entries(all).map(([name, [, value]]) => [name, value])));
    expect((await tlora([...least, '--size', '64'])).generate?.size).toBe(64);
    expect((await tlora([...least, '--size', '64×96'])).generate?.size).toEqual({ width: 64, height: 96 });
  });

  it('refuses what it cannot understand', async () => {
    const { err, status } = await tlora([...least, '--size', '64x']);
    expect(err).toContain("argument '64x' is invalid. Expected a side in pixels");
    expect(status).toBe(2);
    expect((await tlora([...least, '--adapter', 'a', '--adapter', 'b'])).err).toContain('several are not mixed');
    expect((await tlora(['generate', '--model', 'm'])).err).toContain('--prompt: expected a value, got none');
    expect((await tlora([...least, '--promt', 'x'])).err).toContain('Did you mean --prompt?');
  });

  it('ends at Ctrl-C with status 130', async () => {
    const generate: Settings['generate'] = async ({ signal }, interrupt) => {
      interrupt();
      throw signal?.aborted ? new AbortError(signal.reason) : new Error('not interrupted');
    };
    const result = await tlora(least, { generate });
    expect(result).toMatchObject({ status: 130, out: '', err: 'aborted\n' });
  });
});

describe('tlora schedule', () => {
  it('draws r(t)', async () => {
    const { out, status } = await tlora(['schedule', '--rank', '8', '--min-rank', '2']);
    expect(out).toContain('rank 8, minimum 2, alpha 1, T = 1000');
    expect(status).toBe(0);
  });

  it('prints r(t) as JSON', async () => {
    const { ranks, ...schedule } = JSON.parse((await tlora(['schedule', '--rank', '8', '--json'])).out);
    expect(schedule).toEqual({ T: 1000, maxRank: 8, minRank: 4, alpha: 1 });
    expect(ranks).toEqual(Array.from({ length: 1000 }, (_, t) => activeRank(schedule, t)));
  });

  it('refuses a schedule that makes no sense', async () => {
    const { err, status, out } = await tlora(['schedule', '--rank', '4', '--min-rank', '5']);
    expect(err).toContain('error: --min-rank: expected at most the rank, 4, got 5');
    expect((await tlora(['schedule', '--timesteps', '0'])).err).toContain(
      'error: --timesteps: expected an integer of at',
    );
    expect({ status, out }).toEqual({ status: 2, out: '' });
  });
});

describe('tlora build', () => {
  it('passes the outcome of the build on', async () => {
    expect((await tlora(['build'], { parts: { build: async () => 0 } })).status).toBe(0);
    expect((await tlora(['build'], { parts: { build: async () => 7 } })).status).toBe(1);
  });
});

describe('tlora doctor', () => {
  const findings = [
    { name: 'Node.js', ok: true, text: '20.20.2' },
    { name: 'addon', ok: false, text: 'not found', fix: 'npx tlora build' },
  ];
  const doctor = async (): Promise<{ ok: boolean; findings: typeof findings }> => ({ ok: false, findings });

  it('prints findings with their fixes and fails when something needed is missing', async () => {
    const parts = { doctor: async () => ({ doctor }) };
    const { out, status } = await tlora(['doctor'], { parts });
    expect(out).toBe('✓ Node.js  20.20.2\n✗ addon    not found\n           → npx tlora build\n');
    expect(status).toBe(1);
    expect(JSON.parse((await tlora(['doctor', '--json'], { parts })).out)).toEqual({ ok: false, findings });
  });
});
