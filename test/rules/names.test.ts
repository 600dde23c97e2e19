import { extname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { read, trackedFiles } from './trackedFiles.js';

const files = trackedFiles();
const SOURCE = /\.(ts|mts|mjs|cpp|h|cu|cuh)$/;
const TEXT =
  /\.(ts|mts|mjs|cpp|h|cu|cuh|md|json|txt|gyp|yml|sh|def)$|(^|\/)(\.npmrc|\.gitignore|CMakeLists\.txt|run|LICENSE)$/;

/** Largest number of lines of a source file. */
const MOST_LINES = 400;

const lineCount = (path: string): number => read(path).split('\n').length - 1;

describe('names', () => {
  it('say what a file is about', () => {
    const vague = /(^|[/_.-])(utils?|helpers?|common|managers?|misc|v2)([_.-][^/]*)?(\/|$)/i;
    expect(files.filter((path) => vague.test(path))).toEqual([]);
    expect(['lib/utils/a.ts', 'lib/helpers.ts', 'native/cpu/common.h'].every((path) => vague.test(path))).toBe(true);
  });

  it('of ops and other files are camelCase in lib, as diffusers’ classes are', () => {
    const own = files.filter((path) => path.startsWith('lib/') && extname(path) === '.ts');
    expect(own.filter((path) => !/^lib\/([a-z][A-Za-z0-9]*\/)?[a-z][A-Za-z0-9]*\.ts$/.test(path))).toEqual([]);
  });
});

describe('files', () => {
  it('name no path of one machine', () => {
    // put together here so that this file does not hold what it looks for
    const machine = new RegExp(`(^|[^\\w.])/(${['work', 'farm', 'tmp', 'root', 'home/\\w+'].join('|')})/`);
    const naming = files.filter((path) => TEXT.test(path) && machine.test(read(path)));
    expect(naming).toEqual([]);
    expect(machine.test(`see /${'work'}/x`)).toBe(true);
  });

  it(`are at most ${MOST_LINES} lines long`, () => {
    const long = files.filter((path) => SOURCE.test(path) && lineCount(path) > MOST_LINES);
    expect(long.map((path) => `${path}: ${lineCount(path)}`)).toEqual([]);
  });

  it('hold no mark of unfinished work', () => {
    const mark = new RegExp(
      `\\b(${['TO' + 'DO', 'FIX' + 'ME'].join('|')})\\b|\\b(it|test|describe)\\.(only|skip|todo)\\(`,
    );
    const marked = files.filter((path) => SOURCE.test(path) && mark.test(read(path)));
    expect(marked).toEqual([]);
  });
});
