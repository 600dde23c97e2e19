import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError, FileFormatError, FileWriteError } from '../../lib/errors.js';
import { checkRunFolder, claimRunFolder, ensureParent, rewindLog, runFolder } from '../../lib/train/runFolder.js';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-folder-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const settings = { rank: 4, images: ['photo.png'], clip: undefined, steps: 10 };
const wish = (name: string, more: object = {}) => ({
  outputDir: join(dir, name),
  resume: false,
  overwrite: false,
  ...more,
});

async function claimedRun(name: string): Promise<string> {
  const folder = await claimRunFolder(wish(name), settings);
  for (const path of [folder.adapterPath, folder.statePath, folder.checkpointPath(20), folder.samplePath(20, 1)]) {
    ensureParent(path);
    writeFileSync(path, 'x');
  }
  folder.log({ step: 1 });
  return folder.dir;
}

describe('claimRunFolder', () => {
  it('makes a new folder with the settings in it', async () => {
    const folder = await claimRunFolder(wish('a/b'), settings);
    const config = JSON.parse(readFileSync(folder.configPath, 'utf8')) as object;
    expect(config).toEqual({
      ...{ format: 'tlora run 1', rank: 4, images: ['photo.png'], steps: 10 },
      claim: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
  });

  it('refuses a folder that holds a foreign file', async () => {
    writeFileSync(join(dir, 'notes.txt'), 'mine');
    await expect(claimRunFolder(wish('.'), settings)).rejects.toThrow(/expected a new or empty folder, .* notes\.txt/);
    expect(readdirSync(dir)).toEqual(['notes.txt']);
  });

  it('refuses a folder that holds a run, and says what can be done', async () => {
    await claimedRun('run');
    await expect(claimRunFolder(wish('run'), settings)).rejects.toThrow(/--resume.*--overwrite.*--out/);
    expect(existsSync(join(dir, 'run', 'state.safetensors'))).toBe(true);
  });

  it('overwrites the files of a run only', async () => {
    const run = await claimedRun('run');
    const cutOff = ['.state.safetensors.123.0a1b2c3d.tmp', 'checkpoints/.adapter-000030.safetensors.9.ffff0000.tmp'];
    const kept = ['notes.txt', 'adapter.safetensors.bak', 'samples/best.png', 'old/state.safetensors'];
    mkdirSync(join(run, 'old'));
    for (const name of [...cutOff, ...kept]) writeFileSync(join(run, name), 'mine');
    await claimRunFolder(wish('run', { overwrite: true }), settings);
    const left = readdirSync(run, { recursive: true }).map(String).sort();
    expect(left).toEqual([...kept, 'config.json', 'old', 'samples'].sort());
  });

  it('adds a run to a folder of other files when overwriting is allowed', async () => {
    writeFileSync(join(dir, 'notes.txt'), 'mine');
    await claimRunFolder(wish('.', { overwrite: true }), settings);
    expect(readdirSync(dir).sort()).toEqual(['config.json', 'notes.txt']);
  });

  it('does not overwrite files of the same names that are of no run', async () => {
    writeFileSync(join(dir, 'config.json'), '{"_class_name":"UNet2DConditionModel"}');
    await expect(claimRunFolder(wish('.', { overwrite: true }), settings)).rejects.toThrow(
      /expected a folder of a run, .* config\.json is of something else/,
    );
    expect(readFileSync(join(dir, 'config.json'), 'utf8')).toContain('UNet2DConditionModel');
  });

  it('refuses a file in the place of the folder', async () => {
    writeFileSync(join(dir, 'file'), '');
    await expect(claimRunFolder(wish('file'), settings)).rejects.toThrow(/outputDir: expected a folder, got .*file/);
    await expect(claimRunFolder(wish('file/run'), settings)).rejects.toThrow(FileWriteError);
  });
});

describe('checkRunFolder', () => {
  it('touches nothing', async () => {
    const run = await claimedRun('run');
    const before = readdirSync(run, { recursive: true });
    checkRunFolder(wish('run', { overwrite: true }), settings);
    checkRunFolder(wish('run', { resume: true }), settings);
    checkRunFolder(wish('new'), settings);
    expect(readdirSync(run, { recursive: true })).toEqual(before);
    expect(existsSync(join(dir, 'new'))).toBe(false);
  });

  it('lets a resumed run change what leaves its steps alone', async () => {
    await claimedRun('run');
    const resume = wish('run', { resume: true });
    checkRunFolder(resume, { ...settings, steps: 20, threads: 3, saveEvery: 5 });
    expect(() => checkRunFolder(resume, { ...settings, rank: 8 })).toThrow('rank: expected 4, as in the run');
    expect(() => checkRunFolder(resume, { ...settings, clip: 1 })).toThrow('clip: expected none, as in the run');
  });

  it('lets the model and the pictures of a resumed run lie elsewhere when their contents are known to be the same', async () => {
    const digests = { modelDigest: 'a', tokenizerDigest: 'b', imageDigests: ['c'] };
    const run = { ...settings, model: '/here/model', images: ['/here/dog.jpg'], ...digests };
    const moved = { ...run, model: '/there/model', images: ['/there/dog.jpg'] };
    await claimRunFolder(wish('known'), run);
    const resume = wish('known', { resume: true });
    checkRunFolder(resume, moved);
    for (const name of ['modelDigest', 'tokenizerDigest'])
      expect(() => checkRunFolder(resume, { ...moved, [name]: 'other' })).toThrow(
        'model: expected "/here/model", as in the run',
      );
    expect(() => checkRunFolder(resume, { ...run, tokenizerDigest: 'other' })).toThrow(
      'model: expected the contents that the run',
    );
    expect(() => checkRunFolder(resume, { ...moved, imageDigests: ['other'] })).toThrow('images: expected ["/here');
    const { tokenizerDigest: _, ...earlier } = run;
    await claimRunFolder(wish('earlier'), earlier);
    checkRunFolder(wish('earlier', { resume: true }), run);
    expect(() => checkRunFolder(wish('earlier', { resume: true }), moved)).toThrow('model: expected "/here/model"');
  });

  it('refuses to resume what is no run', () => {
    expect(() => checkRunFolder(wish('none', { resume: true }), settings)).toThrow(ConfigError);
    for (const text of ['{"rank":4}', 'null', '[', '"x"']) {
      writeFileSync(join(dir, 'config.json'), text);
      expect(() => checkRunFolder(wish('.', { resume: true }), settings)).toThrow(FileFormatError);
    }
  });
});

describe('a folder that another process takes', () => {
  it('is written no more', async () => {
    const first = await claimRunFolder(wish('taken'), settings);
    first.log({ step: 1 });
    first.expectClaimed();
    const second = await claimRunFolder(wish('taken', { overwrite: true }), settings);
    expect(() => first.log({ step: 2 })).toThrow(FileWriteError);
    expect(() => first.expectClaimed()).toThrow(
      /config\.json: expected the settings of this run, got those of another/,
    );
    expect(existsSync(first.logPath)).toBe(false);
    second.log({ step: 1 });
    const third = await claimRunFolder(wish('taken', { resume: true }), settings);
    expect(() => second.log({ step: 2 })).toThrow(FileWriteError);
    third.log({ step: 2 });
    expect(readFileSync(third.logPath, 'utf8')).toBe('{"step":1}\n{"step":2}\n');
  });

  it('loses what processes that have ended were writing, and no more', async () => {
    const { dir: at } = await claimRunFolder(wish('cut off'), settings);
    const { pid: ended } = spawnSync(process.execPath, ['--version']);
    const names = [ended, process.pid, process.ppid].map((pid) => `.state.safetensors.${pid}.0a1b2c3d.tmp`);
    for (const name of [...names, '.notes.1.0a.tmp']) writeFileSync(join(at, name), '');
    await claimRunFolder(wish('cut off', { resume: true }), settings);
    expect(readdirSync(at).sort()).toEqual(['.notes.1.0a.tmp', names[2], 'config.json'].sort());
  });
});

describe('the log', () => {
  it('is rewound to a step, without a line that was cut off', async () => {
    const folder = runFolder(dir);
    for (const step of [1, 2, 3]) folder.log({ step });
    writeFileSync(folder.logPath, `${readFileSync(folder.logPath, 'utf8')}{"step":1`);
    await rewindLog(folder, 2);
    expect(readFileSync(folder.logPath, 'utf8')).toBe('{"step":1}\n{"step":2}\n');
  });

  it('names itself when the system refuses', () => {
    const folder = runFolder(join(dir, 'none'));
    expect(() => folder.log({ step: 1 })).toThrow(FileWriteError);
    expect(() => folder.log({ step: 1 })).toThrow(/Cannot write .*log\.jsonl/);
  });
});
