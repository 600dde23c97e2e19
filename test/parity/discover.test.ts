import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { discover, resultsIn } from './discover.js';
import { kindOf } from './kinds.js';
import { runParity } from './runParity.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-discover-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const folder = (name: string): string => mkdirSync(join(dir, name), { recursive: true })!;

describe('discover', () => {
  it('pairs model folders with results, whatever they are called', () => {
    for (const name of ['tiny-sd15', 'expected-sd15', 'tiny-other-b', 'expected-other-b', 'tiny-alone']) folder(name);
    folder('interop/legacy-folder-sd15');
    folder('interop/some-format');
    folder('interop/kohya-sd15');
    folder('interop/official-as-plain-absent');
    for (const name of ['tiny-sd15', 'tiny-alone', 'tiny-other', 'none']) folder(`interop/single-file/${name}`);
    for (const name of ['tiny-sd15', 'none']) {
      writeFileSync(join(dir, 'interop', 'single-file', name, 'model.safetensors'), '');
      writeFileSync(join(dir, 'interop', 'single-file', name, 'keymap.json'), '');
      writeFileSync(join(dir, 'interop', 'single-file', name, 'expected.safetensors'), '');
    }
    writeFileSync(join(dir, 'README.md'), '');
    writeFileSync(join(dir, 'init-singular-values.safetensors'), '');
    writeFileSync(join(dir, 'other.safetensors'), '');
    const { pipelines, foreign, singularValues, skipped } = discover(dir);
    expect(pipelines.map(({ name, expected }) => [name, relative(dir, expected)])).toEqual([
      ['interop/legacy-folder-sd15', 'expected-sd15'],
      ['interop/single-file/tiny-sd15', 'interop/single-file/tiny-sd15'],
      ['interop/single-file/tiny-sd15', 'expected-sd15'],
      ['other-b', 'expected-other-b'],
      ['sd15', 'expected-sd15'],
    ]);
    expect(resultsIn(pipelines[1]!)).toEqual(['expected.safetensors']);
    for (const name of ['text', 'unet', 'vae']) writeFileSync(join(dir, 'expected-sd15', `${name}.safetensors`), '');
    expect(resultsIn(pipelines[2]!)).toEqual(['text.safetensors', 'unet.safetensors']);
    expect(resultsIn(pipelines[4]!)).toHaveLength(3);
    expect(pipelines[1]).toMatchObject({ config: join(dir, 'tiny-sd15') });
    expect(pipelines[0]).toMatchObject({ expected: join(dir, 'expected-sd15') });
    expect(foreign).toEqual([
      {
        name: 'interop/kohya-sd15',
        dir: join(dir, 'tiny-sd15'),
        expected: join(dir, 'expected-sd15'),
        folder: join(dir, 'interop/kohya-sd15'),
      },
    ]);
    expect(singularValues).toEqual([join(dir, 'init-singular-values.safetensors')]);
    expect(skipped.map(({ path }) => path)).toEqual([
      'interop/official-as-plain-absent',
      'interop/single-file/none',
      'interop/single-file/tiny-alone',
      'interop/single-file/tiny-other',
      'interop/some-format',
      'other.safetensors',
      'tiny-alone',
    ]);
  });

  it('finds nothing in a folder that is empty or absent', () => {
    expect(discover(dir)).toEqual({ pipelines: [], foreign: [], singularValues: [], skipped: [] });
    expect(discover(join(dir, 'absent')).pipelines).toEqual([]);
  });
});

describe('kinds of results', () => {
  it('are told by their names', () => {
    const known = [
      'expected',
      'text',
      'vae',
      'unet',
      'schedulers',
      'adapter-lora',
      'train-ortho_lora-last',
      'sample-lora',
    ];
    expect(known.filter((name) => kindOf(`${name}.safetensors`) === undefined)).toEqual([]);
    expect(kindOf('official-lora')).toBeDefined();
    expect(['other.safetensors', 'vae.bin', 'constructor.safetensors'].filter((name) => kindOf(name))).toEqual([]);
  });
});

describe('runParity', () => {
  it('reports a model folder that cannot be opened as failed, not as passed or skipped', async () => {
    folder('tiny-x');
    folder('expected-x');
    writeFileSync(join(dir, 'expected-x', 'text.safetensors'), '');
    const failed: string[] = [];
    const skipped: string[] = [];
    await runParity(dir, {
      threads: 1,
      onCheck: ({ source, passed, note }) => void failed.push(`${source} ${passed} ${note}`),
      onSkip: ({ path }) => void skipped.push(path),
    });
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatch(/^x false .*model_index\.json/);
    expect(skipped).toEqual([]);
  });
});
