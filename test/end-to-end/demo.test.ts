import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DemoOptions, demo } from '../../lib/demo/demo.js';
import { tableText } from '../../lib/demo/demoFigures.js';
import { writeScratchEvaluators } from '../support/scratchEvaluators.js';
import { writeScratchMini } from '../support/scratchMini.js';
import { writePhoto } from './tinyTraining.js';

const root = mkdtempSync(join(tmpdir(), 'tlora-demo-'));
const at = (...parts: string[]): string => join(root, ...parts);

/** The whole demo, but short, on a model of the mini model's architecture with random weights. */
function short(more: Partial<DemoOptions> = {}): DemoOptions {
  const sizes = { steps: 4, pictures: 3, samplerSteps: 2, rank: 4, threads: 2 };
  return { dir: at('demo'), model: at('mini'), evaluators: at('evaluators'), ...sizes, ...more };
}

beforeAll(async () => {
  await writeScratchMini(at('mini'));
  await writeScratchEvaluators(at('evaluators'));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('the demo', () => {
  it('trains both sides, makes pictures from the same noise, judges them and writes a page', async () => {
    const notes: string[] = [];
    const { table, reportPath, seconds } = await demo(short({ onNote: (text) => notes.push(text) }));
    expect(table!.rows.map(([name]) => name)).toEqual([
      ...['no adapter', 'LoRA', 'T-LoRA', 'true renders', 'training picture'],
    ]);
    for (const cells of table!.rows) expect(cells).toHaveLength(table!.head.length);
    expect(tableText(table!).split('\n')).toHaveLength(6);
    expect(seconds).toBeGreaterThan(0);
    expect(notes).toContain('training T-LoRA: rank 4, 4 steps');
    expect(notes.at(-1)).toBe('judging the pictures');
    const html = readFileSync(reportPath, 'utf8');
    expect(html.match(/<img /g)).toHaveLength(1 + 3 * 3);
    expect(html.match(/<svg /g)).toHaveLength(8);
    expect(html).not.toMatch(/<script|<link|https?:\/\//);
    for (const text of ['Figures', 'Effective rank', 'npx tlora demo --image']) expect(html).toContain(text);
    const config = (side: string): Record<string, unknown> =>
      JSON.parse(readFileSync(at('demo', side, 'config.json'), 'utf8'));
    const [lora, tlora] = [config('lora'), config('tlora')];
    for (const name of ['rank', 'seed', 'steps', 'images', 'prompt']) expect(lora[name]).toEqual(tlora[name]);
  });

  it('runs again over its own folder, to the same pictures', async () => {
    const picture = at('demo', 'pictures', 'tlora', '1001.png');
    const before = readFileSync(picture);
    const names = readdirSync(at('demo'), { recursive: true }).sort();
    await demo(short());
    expect(readdirSync(at('demo'), { recursive: true }).sort()).toEqual(names);
    expect(readFileSync(picture).equals(before)).toBe(true);
  });

  it('finds bad options and pictures before it touches an earlier demo', async () => {
    const before = readFileSync(at('demo', 'report.html'), 'utf8');
    for (const [bad, message] of [
      [{ pictures: 13 }, /^pictures: expected a whole number from 1 to 12, got 13/],
      [{ pictures: 0.5 }, /^pictures: /],
      [{ steps: 0 }, /^steps: /],
      [{ image: at('none.png') }, /none\.png/],
    ] as const)
      await expect(demo(short(bad))).rejects.toThrow(message);
    expect(readFileSync(at('demo', 'report.html'), 'utf8')).toBe(before);
  });

  it('refuses a folder that holds something else', async () => {
    mkdirSync(at('mine', 'pictures', 'none'), { recursive: true });
    writeFileSync(at('mine', 'pictures', 'none', '1.png'), 'mine');
    await expect(demo(short({ dir: at('mine') }))).rejects.toThrow(/^outputDir: expected .*which holds pictures/);
    await expect(demo(short({ dir: at('mine', 'pictures', 'none', '1.png') }))).rejects.toThrow('expected a folder');
    expect(readdirSync(at('mine'), { recursive: true })).toHaveLength(3);
  });

  it('is interrupted at once, leaves no page behind, and runs again after that', async () => {
    const stop = new AbortController();
    const onNote = (text: string): void => {
      if (text.startsWith('training T-LoRA')) stop.abort();
    };
    const dir = at('cut');
    await expect(demo(short({ dir, signal: stop.signal, onNote }))).rejects.toThrow(
      expect.objectContaining({ name: 'AbortError' }),
    );
    expect(existsSync(join(dir, 'lora', 'adapter.safetensors'))).toBe(true);
    expect(existsSync(join(dir, 'report.html'))).toBe(false);
    await demo(short({ dir, pictures: 1 }));
    expect(existsSync(join(dir, 'report.html'))).toBe(true);
  });

  it('takes a picture of one’s own, and does without evaluators', async () => {
    await writePhoto(at('photo.png'), 96, 80);
    const dir = at('own');
    const own = { dir, image: at('photo.png'), className: 'object' };
    const notes: string[] = [];
    const onNote = (text: string): number => notes.push(text);
    const named = { className: 'blue teapot', onNote };
    const { table } = await demo(short({ ...own, ...named, pictures: 1, evaluators: at('none') }));
    expect(notes[0]).toContain("never read 'teapot'");
    expect(table).toBeNull();
    expect(readFileSync(join(dir, 'report.html'), 'utf8')).toContain('sks blue teapot');
    expect(existsSync(join(dir, 'sprite.png'))).toBe(false);
    const judged = await demo(short({ ...own, pictures: 1 }));
    expect(judged.table!.rows.map(([name]) => name)).not.toContain('true renders');
  });
});
