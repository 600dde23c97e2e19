import { expect, it } from 'vitest';
import type { ConvertResult } from '../../lib/convert/convertAdapter.js';
import { type ConvertOptions, convertOptionNames, resolveConvertOptions } from '../../lib/convert/options.js';
import { tlora } from './recorder.js';

function convert(...args: string[]) {
  let given: ConvertOptions | undefined;
  const convertAdapter = async (options: ConvertOptions): Promise<ConvertResult> => {
    given = options;
    resolveConvertOptions(options);
    return { path: options.out, layers: 2, rank: 8, relativeError: 0.0123, notes: ['a mask is lost'] };
  };
  const parts = { convert: async () => ({ convertAdapter }) };
  return tlora(['convert', ...args], { parts }).then((recorded) => ({ ...recorded, given }));
}

const least = ['a.safetensors', '--to', 'kohya', '--out', 'b.safetensors'];

it('tlora convert prints the path, and notes beside it', async () => {
  const { out, err, status } = await convert(...least);
  expect({ out, err, status }).toEqual({
    out: 'b.safetensors\n',
    err: '2 layers, rank 8\nnote: a mask is lost\n',
    status: 0,
  });
  expect((await convert(...least, '--rank', '8')).err).toContain('relative error of the change 1.2e-2');
  const { out: json, err: nothing } = await convert(...least, '--json', '--quiet');
  expect([JSON.parse(json).rank, nothing]).toEqual([8, '']);
});

it('tlora convert has a flag for each option, and passes its value on', async () => {
  const all: Record<string, [flags: string[], value: unknown]> = {
    adapter: [[], 'a.safetensors'],
    to: [[], 'kohya'],
    out: [[], 'b.safetensors'],
    model: [['--model', 'm'], 'm'],
    config: [['--config', 'c'], 'c'],
    rank: [['--rank', '8'], 8],
    atRank: [['--at-rank', '4'], 4],
    dtype: [['--dtype', 'float16'], 'float16'],
    overwrite: [['--overwrite'], true],
    unetOnly: [['--unet-only'], true],
    components: [['--components', 'last'], 'last'],
  };
  expect(Object.keys(all).sort()).toEqual(convertOptionNames.toSorted());
  const { given, err } = await convert(...least, ...Object.values(all).flatMap(([flags]) => flags));
  expect(err).not.toContain('error:');
  expect(given).toEqual(Object.fromEntries(Object.entries(all).map(([name, [, value]]) => [name, value])));
});

it('tlora convert says which flag is wrong', async () => {
  expect(await convert('a.safetensors', '--to', 'kohya')).toMatchObject({ status: 2, given: undefined });
  const { err, status } = await convert(...least, '--full', '--at-rank', '4');
  expect([status, err]).toEqual([2, 'error: --full: expected it without --at-rank, got both\n']);
  expect((await convert(...least, '--rank', '0')).err).toContain('--rank: expected a whole number of at least 1');
  expect((await convert(...least.toSpliced(2, 1, 'tlora'), '--at-rank', '2')).err).toContain(
    '--at-rank: expected none',
  );
});
