import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openAdapter } from '../../lib/adapters/openAdapter.js';
import { ConfigError, FileWriteError } from '../../lib/errors.js';
import { changeSingularValues, effectiveRanks } from '../../lib/report/effectiveRank.js';
import { nextCommands, shellWord } from '../../lib/report/nextCommands.js';
import { report } from '../../lib/report/report.js';
import { readRunFacts } from '../../lib/report/runFacts.js';
import { tinyTraining } from './tinyTraining.js';

const tiny = tinyTraining();
const sample = { every: 2, prompts: ['a {0} & <friends>'] };

/** Nothing that a browser would fetch. */
function expectSelfContained(html: string): void {
  for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g)) expect(address).toMatch(/^data:image\//);
  expect(html).not.toMatch(/<script|<link|@import|url\(|https?:\/\//);
}

beforeAll(async () => {
  const watch = { every: 2, draws: 1 };
  await tiny.run('lora', { variant: 'lora', steps: 6, sample, watch });
  await tiny.run('tlora', { variant: 'tlora', steps: 6, sample, watch });
  await tiny.run('bare', { variant: 'tlora', steps: 40, compact: true });
});

describe('report', () => {
  it('shows runs side by side in one page that needs nothing else', async () => {
    const out = await report({ runs: [tiny.at('lora'), tiny.at('tlora')], out: tiny.at('both.html') });
    expect(out).toBe(tiny.at('both.html'));
    const html = readFileSync(out, 'utf8');
    expectSelfContained(html);
    for (const text of ['2 runs compared', 'lora · lora', 'tlora · tlora', 'Loss by timestep band', 'Copy score'])
      expect(html).toContain(text);
    expect(html).toContain('a {0} &amp; &lt;friends&gt;');
    expect(html.match(/<img /g)).toHaveLength(3); // the training picture, and the last sample of each run
    expect(html.match(/<svg /g)).toHaveLength(8); // five bands, copy score, r(t), effective rank
    expect(html).toMatch(/prefers-color-scheme: dark/);
    expect(html).toMatch(/name="viewport"/);
  });

  it('makes pictures for prompts, from the same noise', async () => {
    const heard: [number, number][] = [];
    const out = await report({
      runs: [tiny.at('lora'), tiny.at('tlora')],
      prompts: ['a {0}'],
      ...{ count: 2, steps: 2, threads: 2, out: tiny.at('made.html') },
      onProgress: (done, all) => heard.push([done, all]),
    });
    expect(heard).toEqual([
      [1, 2],
      [2, 2],
    ]);
    const html = readFileSync(out, 'utf8');
    expectSelfContained(html);
    expect(html.match(/<img /g)).toHaveLength(5);
  });

  it('does with what a run has: no watch, no pictures, a compact adapter', async () => {
    const out = await report({ runs: [tiny.at('bare')] });
    expect(out).toBe(tiny.at('bare', 'report.html'));
    const html = readFileSync(out, 'utf8');
    expectSelfContained(html);
    expect(html).toContain('Means of the training losses');
    expect(html).toContain('Compact adapters');
    expect(html.match(/<img /g)).toHaveLength(1);
  });

  it('makes the folder of its page, or says at once that it cannot', async () => {
    const out = tiny.at('new', 'folder', 'page.html');
    expect(await report({ runs: [tiny.at('bare')], out })).toBe(out);
    const heard: number[] = [];
    const below = { out: join(out, 'page.html'), prompts: ['x'], onProgress: (done: number) => void heard.push(done) };
    await expect(report({ runs: [tiny.at('bare')], ...below })).rejects.toThrow(FileWriteError);
    expect(heard).toEqual([]);
  });

  it('names what is missing', async () => {
    await expect(report({ runs: [] })).rejects.toThrow('runs: expected 1 to 6 folders of runs, got 0');
    await expect(report({ runs: [tiny.at('nowhere')] })).rejects.toThrow(ConfigError);
    await expect(report(undefined as never)).rejects.toThrow('options: expected object, got undefined');
    await expect(report({ runs: ['x'], prompt: 'y' } as never)).rejects.toThrow("Did you mean 'prompts'?");
    await expect(report({ runs: ['x'], count: 0 })).rejects.toThrow('count: expected a whole number of at least 1');
    await expect(report({ runs: [tiny.at('lora')], steps: 3 })).rejects.toThrow('steps: expected prompts with it');
    const signal = AbortSignal.abort('never mind');
    await expect(report({ runs: [tiny.at('lora')], signal })).rejects.toMatchObject({ code: 'ABORT_ERR' });
  });

  it('says how to go on', async () => {
    const facts = await readRunFacts(tiny.at('tlora'), 0);
    const [generate, resume] = nextCommands(facts);
    expect(generate!.command).toContain(`--adapter ${tiny.at('tlora', 'best.safetensors')}`);
    expect(resume!.command).toBe(
      [
        `npx tlora train ${tiny.photo} --model ${tiny.model} --class dog --variant tlora --rank 4`,
        `--learning-rate 0.01 --resolution 64 --precision fp32 --out ${tiny.at('tlora')} --steps 12 --resume`,
      ].join(' '),
    );
    const compact = nextCommands(await readRunFacts(tiny.at('bare'), 0))[1]!.command;
    expect(compact).toContain(' --compact ');
    expect(shellWord("it's")).toBe("'it'\\''s'");
  });
});

describe('effective ranks', () => {
  it.each(['lora', 'tlora'])('are those of the change as a whole matrix: %s', (name) => {
    const file = openAdapter(tiny.at(name, 'adapter.safetensors'));
    const layer = file.layers[0]!;
    const { in: width, out, rank } = layer;
    const value = (kind: string): Float32Array => file.change(`${layer.path}.${kind}.weight`);
    const start = (kind: string): Float32Array => file.start(`${layer.path}.${kind}.weight`);
    const [up, down] = [value('lora_up'), value('lora_down')];
    let squares = 0;
    for (let i = 0; i < out; i++) {
      for (let j = 0; j < width; j++) {
        let change = 0;
        for (let r = 0; r < rank; r++) {
          if (name === 'lora') change += up[i * rank + r]! * down[r * width + j]!;
          else {
            const [p0, q0] = [start('lora_up')[i * rank + r]!, start('lora_down')[r * width + j]!];
            const l0 = start('lora_lambda')[r]!;
            const l = l0 + value('lora_lambda')[r]!;
            change += (p0 + up[i * rank + r]!) * l * (q0 + down[r * width + j]!) - p0 * l0 * q0;
          }
        }
        squares += change ** 2;
      }
    }
    const singular = changeSingularValues(file, layer);
    expect(singular.reduce((sum, s) => sum + s * s, 0) / squares).toBeCloseTo(1, 5);
    expect(singular[0]).toBeGreaterThan(0);
  });

  it('lie between 1 and the most that the adapter can use', () => {
    for (const [name, most] of [
      ['lora', 4],
      ['tlora', 8],
    ] as const) {
      const ranks = effectiveRanks(openAdapter(tiny.at(name, 'adapter.safetensors')));
      expect([...ranks.keys()]).toContain('cross v');
      for (const { entropy, participation, share95 } of ranks.values()) {
        for (const measure of [entropy, participation, share95]) {
          expect(measure).toBeGreaterThanOrEqual(1);
          expect(measure).toBeLessThanOrEqual(most);
        }
        expect(participation).toBeLessThanOrEqual(entropy + 1e-9);
      }
    }
  });
});
