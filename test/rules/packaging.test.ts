import { describe, expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import lock from '../../package-lock.json' with { type: 'json' };
import { read, trackedFiles } from './trackedFiles.js';

const tracked = trackedFiles();

/** The TypeScript file behind a path in dist/. */
const sourceOf = (built: string): string => built.replace(/^\.\/dist\//, 'lib/').replace(/(\.d)?\.[jt]s$/, '.ts');

describe('package.json', () => {
  it('points only at files that exist', () => {
    const { default: main, types } = manifest.exports['.'];
    for (const path of [main, types, manifest.bin.tlora]) expect(tracked).toContain(sourceOf(path));
    const scripts = Object.values(manifest.scripts).flatMap(
      (script) => script.match(/\b(scripts|bench)\/[\w./-]+/g) ?? [],
    );
    expect(scripts.filter((path) => !tracked.includes(path))).toEqual([]);
    expect(scripts.length).toBeGreaterThan(3);
  });

  it('publishes what building the addon and its licence need', () => {
    const built = ['dist', 'prebuilds'];
    const missing = manifest.files.filter(
      (entry) => !built.includes(entry) && !tracked.some((path) => path === entry || path.startsWith(`${entry}/`)),
    );
    expect(missing).toEqual([]);
    for (const needed of ['dist', 'native', 'scripts', 'prebuilds', 'CMakeLists.txt', 'binding.gyp'])
      expect(manifest.files).toContain(needed);
    expect(read('LICENSE')).toContain('Apache License');
    expect(manifest.license).toBe('Apache-2.0');
  });

  it('starts the command with node', () => {
    expect(read(sourceOf(manifest.bin.tlora)).split('\n')[0]).toBe('#!/usr/bin/env node');
  });

  it('gives every dependency a reason in docs/dependencies.md', () => {
    const reasons = read('docs/dependencies.md');
    expect(Object.keys(manifest.dependencies).filter((name) => !reasons.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('package-lock.json', () => {
  it('agrees with package.json', () => {
    const own = lock.packages[''];
    expect(own.version).toBe(manifest.version);
    expect(own.dependencies).toEqual(manifest.dependencies);
    expect(own.devDependencies).toEqual(manifest.devDependencies);
  });

  it('names no registry', () => {
    expect(read('package-lock.json')).not.toContain('"resolved"');
  });
});
