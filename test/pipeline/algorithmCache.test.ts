import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../lib/addon/surface.js';
import { DeviceError } from '../../lib/errors.js';
import {
  type AlgorithmCache,
  algorithmCacheFolder,
  keepAlgorithms,
  suggestAlgorithms,
} from '../../lib/pipeline/algorithmCache.js';

type Texts = Record<string, string>;
const ORIGIN = { format: 1, device: 'H100, sm_90', cublasLt: '130101', cudnn: '92400' };

/** What such an engine has chosen; `times` names those that it tried. */
const chosen = (choices: Texts, times: Texts = {}, origin: object = ORIGIN): string =>
  JSON.stringify({ ...ORIGIN, ...origin, choices, times });

let home: string;
let warnings: string[];
let suggested: string[];
const earlier = process.env.XDG_CACHE_HOME;
const warn = (message: string): unknown => warnings.push(message);

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tlora-cache-'));
  process.env.XDG_CACHE_HOME = home;
  [warnings, suggested] = [[], []];
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
  if (earlier === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = earlier;
});

const engine = (text: () => string, refuse = false): Engine =>
  ({
    choices: text,
    suggestChoices: (json: string) => {
      if (refuse) throw new DeviceError('this is not a file of algorithm choices');
      suggested.push(json);
    },
  }) as unknown as Engine;

/** An engine that has chosen nothing, then, at the end of its run, this. */
async function aRun(end: string, start = chosen({})): Promise<AlgorithmCache | undefined> {
  let text = start;
  const opened = engine(() => text);
  const algorithmCache = suggestAlgorithms(opened, warn);
  text = end;
  await keepAlgorithms({ engine: opened, algorithmCache }, warn);
  return algorithmCache;
}

const kept = (cache: AlgorithmCache | undefined): Record<string, unknown> =>
  JSON.parse(readFileSync(cache!.path, 'utf8')) as Record<string, unknown>;

describe('the cache of algorithms', () => {
  it('keeps those that were tried, and suggests them to the next engine', async () => {
    const first = await aRun(chosen({ a: '1', b: '2' }, { a: '2 ms' }));
    expect(dirname(first!.path)).toBe(join(home, 'tlora', 'algorithms'));
    expect(first!.path).toMatch(/H100-sm_90-cublasLt-130101-cudnn-92400\.json$/);
    expect(kept(first)).toEqual({ ...ORIGIN, choices: { a: '1' }, times: { a: '2 ms' } });
    expect(suggested).toEqual([]);
    const next = await aRun(chosen({ a: '1', c: '3' }, { a: '2 ms', c: '1 ms' }));
    expect(JSON.parse(suggested[0]!)).toMatchObject({ choices: { a: '1' } });
    expect(kept(next).choices).toEqual({ a: '1', c: '3' });
    expect(warnings).toEqual([]);
  });

  it('leaves what is there, but for what an engine was given and could not use', async () => {
    const cache = await aRun(chosen({ a: '1', b: '1' }, { a: 'x', b: 'x' }));
    let text = chosen({});
    const opened = engine(() => text);
    const algorithmCache = suggestAlgorithms(opened, warn);
    await aRun(chosen({ c: '1' }, { c: 'x' })); // another process, meanwhile
    text = chosen({ a: '2', c: '2' }, { a: 'y', c: 'y' });
    await keepAlgorithms({ engine: opened, algorithmCache }, warn);
    expect(kept(cache)).toMatchObject({ choices: { a: '2', b: '1', c: '1' }, times: { a: 'y', b: 'x', c: 'x' } });
  });

  it('writes nothing where nothing was tried', async () => {
    await aRun(chosen({ a: '1' }));
    expect(readdirSync(home)).toEqual([]);
  });

  it.each([
    { what: 'broken', text: '{"format": 1' },
    { what: 'another format', text: '{"format": 2, "choices": {}, "times": {}}' },
    { what: 'no texts', text: '{"format": 1, "choices": {"a": 1}, "times": {}}' },
    { what: 'of another device', text: chosen({ a: '1' }, { a: 'x' }, { device: 'H200' }) },
  ])('leaves out a file that is $what, with one line, and replaces it', async ({ text }) => {
    const { path } = (await aRun(chosen({ a: '1' }, { a: 'x' })))!;
    writeFileSync(path, text);
    const cache = await aRun(chosen({ b: '1' }, { b: 'x' }));
    expect(warnings).toEqual([
      `${path} is not a file of algorithm choices for this device and its libraries: it is left out`,
    ]);
    expect(suggested).toEqual([]);
    expect(kept(cache).choices).toEqual({ b: '1' });
  });

  it('leaves out what the engine refuses', async () => {
    const { path } = (await aRun(chosen({ a: '1' }, { a: 'x' })))!;
    expect(
      suggestAlgorithms(
        engine(() => chosen({}), true),
        warn,
      ),
    ).toEqual({ path, suggested: {} });
    expect(warnings).toEqual([`${path} is left out: this is not a file of algorithm choices`]);
  });

  it('says so where it cannot be written or read', async () => {
    writeFileSync(join(home, 'tlora'), '');
    const cache = await aRun(chosen({ a: '1' }, { a: 'x' }));
    expect(warnings).toEqual([expect.stringMatching(/^the algorithms that were found fastest cannot be kept: /)]);
    rmSync(join(home, 'tlora'));
    mkdirSync(cache!.path, { recursive: true });
    await aRun(chosen({}));
    expect(warnings[1]).toMatch(/ cannot be read, and is left out: /);
  });

  it('is not for the CPU', async () => {
    expect(await aRun('', '')).toBeUndefined();
  });
});

describe('its folder', () => {
  it('lies below XDG_CACHE_HOME or ~/.cache, whichever is a whole path', () => {
    expect(algorithmCacheFolder({ XDG_CACHE_HOME: '/c', HOME: '/h' })).toBe('/c/tlora/algorithms');
    expect(algorithmCacheFolder({ XDG_CACHE_HOME: 'c', HOME: '/h' })).toBe('/h/.cache/tlora/algorithms');
    expect(algorithmCacheFolder({})).toBe(join(homedir(), '.cache', 'tlora', 'algorithms'));
    expect(algorithmCacheFolder({ HOME: '' })).toBeUndefined();
  });
});
