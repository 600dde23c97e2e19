import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ops } from '../../lib/ops/index.js';
import { meanings } from '../support/meaning/index.js';

const at = (path: string): URL => new URL(`../../${path}`, import.meta.url);
const kernels = ops.filter((op) => op.kernel !== false).map((op) => op.name);
const base = (name: string): string => name.replace(/Vjp$/, '');

/** The names of files of one kind in a folder, without the ending. */
function fileNames(folder: string, ending: string): string[] {
  const all = readdirSync(at(folder)).filter((file) => file.endsWith(ending));
  return all.map((file) => file.slice(0, -ending.length));
}

const ALL = /^TLORA_(?:CPU_|CUDA_)?OP\((\w+), "([\w()]+)", "[\w()]+", (\d+), "[^"]+"\)$/gm;
const CPU_ONLY = /^TLORA_CPU_OP\((\w+),/gm;
const CUDA_ONLY = /^TLORA_CUDA_OP\((\w+),/gm;

function definedOps(pattern = ALL): string[] {
  const text = readFileSync(at('native/core/ops.def'), 'utf8');
  return [...text.matchAll(pattern)].map((match) => match[1]!);
}

describe('op names', () => {
  it('are unique, in camelCase', () => {
    const names = ops.map((op) => op.name);
    expect(names.filter((name, i) => names.indexOf(name) !== i || !/^[a-z][a-zA-Z0-9]*$/.test(name))).toEqual([]);
  });

  it('are those of the files of lib/ops, all of which index.ts lists', async () => {
    const exported: string[] = [];
    for (const file of fileNames('lib/ops', '.ts').filter((name) => name !== 'index')) {
      const room: Record<string, unknown> = await import(at(`lib/ops/${file}.ts`).href);
      const names = Object.keys(room)
        .filter((key) => /Op$/.test(key))
        .map((key) => key.slice(0, -2));
      expect(names.map(base), `lib/ops/${file}.ts holds ${file} and its Vjp`).toEqual(names.map(() => file));
      exported.push(...names);
    }
    expect(ops.map((op) => op.name).sort()).toEqual(exported.sort());
  });

  it('are those of native/core/ops.def', () => {
    expect(definedOps().sort()).toEqual(kernels.toSorted());
  });

  it('have their number of attributes there, and letters of matrices for them', () => {
    const text = readFileSync(at('native/core/ops.def'), 'utf8');
    const facts = (name: string, attrs: number, matrices: readonly number[]): string =>
      `${name} ${attrs} [${matrices}]`;
    const defined = [...text.matchAll(ALL)].map(([, name, inputs, attrs]) =>
      facts(
        name!,
        Number(attrs),
        [...inputs!].flatMap((letter, i) => (/[mw]/i.test(letter) ? [i] : [])),
      ),
    );
    const expected = ops.filter((op) => op.kernel !== false);
    expect(defined.sort()).toEqual(expected.map((op) => facts(op.name, op.attrs.length, op.matrices ?? [])).sort());
  });

  it.each([
    ['cpu', 'cpp', definedOps(CUDA_ONLY)],
    ['cuda', 'cu', definedOps(CPU_ONLY)],
  ])('have a kernel in the file of the op, or of its Vjp, in native/%s', (room, ending, others) => {
    const holds = (file: string, name: string): boolean => {
      const path = at(`native/${room}/${file}.${ending}`);
      return existsSync(path) && new RegExp(`^void ${name}\\(`, 'm').test(readFileSync(path, 'utf8'));
    };
    const without = kernels.filter((name) => !holds(base(name), name) && !holds(name, name));
    expect(without.sort()).toEqual(others.toSorted());
  });

  it('have a float64 meaning, and no meaning is left over', () => {
    expect(Object.keys(meanings).sort()).toEqual(kernels.toSorted());
  });

  it('have a test of the op and one of its kernel', () => {
    const ofOps = new Set(fileNames('test/ops', '.test.ts'));
    const ofKernels = new Set([...fileNames('test/native', '.test.ts'), ...fileNames('test/native/ops', '.test.ts')]);
    expect(ops.map((op) => base(op.name)).filter((name) => !ofOps.has(name))).toEqual([]);
    expect(kernels.map(base).filter((name) => !ofKernels.has(name))).toEqual([]);
  });
});
