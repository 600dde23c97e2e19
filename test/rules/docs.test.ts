import { describe, expect, it } from 'vitest';
import { generateOptionNames } from '../../lib/generate/options.js';
import * as tlora from '../../lib/index.js';
import { trainOptionNames } from '../../lib/train/options.js';
import manifest from '../../package.json' with { type: 'json' };
import { read, trackedFiles } from './trackedFiles.js';

const readme = read('README.md');

describe('README.md', () => {
  it('names every option', () => {
    const unnamed = [...trainOptionNames, ...generateOptionNames].filter((name) => !readme.includes(`\`${name}\``));
    expect(unnamed).toEqual([]);
  });

  it('names the two commands, which exist', () => {
    for (const script of ['demo', 'test']) {
      const command = script === 'test' ? 'npm test' : `npm run ${script}`;
      expect(readme).toContain(`\nnpm install && ${command}\n`);
      expect(manifest.scripts).toHaveProperty(script);
    }
  });
});

describe('docs/api.md', () => {
  const api = read('docs/api.md');

  it('names all that the package exports, and the codes of its errors', () => {
    const unnamed = Object.keys(tlora).filter((name) => !new RegExp(`\\| \`${name}[\`(]|\`${name}\``).test(api));
    expect(unnamed).toEqual([]);
    const codes = [...read('lib/errors.ts').matchAll(/'(ERR_TLORA_\w+|ABORT_ERR)'/g)].map(([, code]) => code!);
    expect(codes.length).toBeGreaterThan(9);
    expect(codes.filter((code) => !api.includes(`\`${code}\``))).toEqual([]);
  });

  it('names the codes of all warnings', () => {
    const sources = trackedFiles().filter((path) => /^lib\/.*\.ts$/.test(path));
    const codes = sources.flatMap((path) =>
      [...read(path).matchAll(/type: 'warning', code: '(\w+)'/g)].map(([, code]) => code!),
    );
    expect(new Set(codes).size).toBeGreaterThan(5);
    expect(codes.filter((code) => !api.includes(`\`${code}\``))).toEqual([]);
  });
});

describe('the TypeScript example of README.md', () => {
  it('is the one that the compiler checks', () => {
    const checked = new Set(
      read('test/rules/readmeExample.ts')
        .split('\n')
        .map((line) => line.trim()),
    );
    const example = /```ts\n([\s\S]*?)```/
      .exec(readme)![1]!
      .split('\n')
      .filter((line) => line.trim() !== '');
    expect(example.length).toBeGreaterThan(5);
    const own = example.map((line) => line.trim().replace("from 'tlora'", "from '../../lib/index.js'"));
    expect(own.filter((line) => !checked.has(line))).toEqual([]);
  });
});

describe('docs', () => {
  const pages = trackedFiles().filter((path) => path.endsWith('.md') && !path.startsWith('test/'));

  it('link only to files that exist', () => {
    const tracked = new Set(trackedFiles());
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)]
        .map(([, target]) => new URL(target!, `file:///${page}`).pathname.slice(1))
        .filter((target) => !tracked.has(target))
        .map((target) => `${page}: ${target}`),
    );
    expect(broken).toEqual([]);
    expect(pages).toContain('docs/design.md');
  });

  it('list the rooms that exist', () => {
    const design = read('docs/design.md');
    const rooms = new Set(trackedFiles().flatMap((path) => /^lib\/(\w+)\//.exec(path)?.[1] ?? []));
    expect([...rooms].filter((room) => !design.includes(`\n| ${room} |`))).toEqual([]);
  });
});
