import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const cli = ['--import', tsx, join(root, 'lib', 'cli', 'main.ts')];

let dir = '';
const at = (...parts: string[]): string => join(dir, ...parts);

function tlora(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [...cli, ...args], { cwd: dir, encoding: 'utf8' });
}

/** Arguments of a training run of 6 steps at most, without --steps and --out. */
const training = [
  'train',
  'photo.png',
  '--model',
  'model',
  '--class',
  'dog',
  '--rank',
  '4',
  '--resolution',
  '64',
  '--threads',
  '2',
];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tlora-cli-'));
  const make = [join(root, 'scripts', 'make-random-model.mjs'), '--shape', 'tiny-sd15', '--out', at('model')];
  expect(spawnSync(process.execPath, make, { encoding: 'utf8' })).toMatchObject({ status: 0 });
  const pixels = Buffer.from(Array.from({ length: 96 * 80 * 3 }, (_, i) => (i * 7919) % 256));
  await sharp(pixels, { raw: { width: 96, height: 80, channels: 3 } })
    .png()
    .toFile(at('photo.png'));
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('the command line', () => {
  it('trains, and goes on to the bits of an uninterrupted run', () => {
    const whole = tlora(...training, '--steps', '4', '--out', 'whole');
    expect(whole).toMatchObject({ status: 0, stdout: `${join('whole', 'adapter.safetensors')}\n` });
    expect(whole.stderr).toContain('completed after 4 steps');
    const first = tlora(...training, '--steps', '2', '--out', 'parts');
    expect(first.status).toBe(0);
    const before = readFileSync(at('parts', 'adapter.safetensors'));
    const second = tlora(...training, '--steps', '4', '--out', 'parts', '--resume', '--json');
    expect(second).toMatchObject({ status: 0 });
    expect(JSON.parse(second.stdout)).toMatchObject({ steps: 4, stopReason: 'completed', device: { kind: 'cpu' } });
    const after = readFileSync(at('parts', 'state.safetensors'));
    expect(after.equals(readFileSync(at('whole', 'state.safetensors')))).toBe(true);
    expect(before.equals(readFileSync(at('parts', 'adapter.safetensors')))).toBe(false);
  });

  it('goes on when the reader of its output leaves', async () => {
    const child = spawn(process.execPath, [...cli, ...training, '--steps', '2', '--out', 'unread'], { cwd: dir });
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    expect(existsSync(at('unread', 'adapter.safetensors'))).toBe(true);
  });

  it('fails when its output cannot be written', () => {
    const { status, stderr } = spawnSync('sh', ['-c', '"$0" "$@" > /dev/full', process.execPath, ...cli, 'schedule'], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^error: Cannot write to stdout: ENOSPC/),
    });
  });

  it('makes pictures with the adapter', async () => {
    const adapter = join('whole', 'adapter.safetensors');
    const made = tlora(
      'generate',
      '--model',
      'model',
      '--adapter',
      adapter,
      '--prompt',
      'a {0}',
      '--steps',
      '2',
      '--out',
      'pictures',
    );
    expect(made).toMatchObject({ status: 0 });
    const paths = made.stdout.trim().split('\n');
    expect(paths).toHaveLength(1);
    expect(await sharp(at(paths[0]!)).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });
  });

  it('refuses a folder that is not empty, and names the way on', () => {
    const { status, stderr, stdout } = tlora(...training, '--steps', '1', '--out', 'whole');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('--resume');
    expect(stderr).toContain('--overwrite');
    expect(tlora(...training, '--steps', '1', '--out', 'whole', '--overwrite').status).toBe(0);
  });

  it('names a bad model folder, a bad picture and a bad adapter, and leaves nothing behind', () => {
    const failing = (message: RegExp, ...args: string[]): void => {
      const { status, stderr, stdout } = tlora(...args);
      expect(stderr).toMatch(message);
      expect(stderr).not.toContain('    at ');
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    };
    const [, , , , ...rest] = training;
    failing(
      /error: --model: nowhere does not exist/,
      'train',
      'photo.png',
      '--model',
      'nowhere',
      ...rest,
      '--out',
      'bad',
    );
    failing(
      /error: .*model_index\.json/,
      'train',
      'model/model_index.json',
      '--model',
      'model',
      ...rest,
      '--out',
      'bad',
    );
    failing(
      /error: .*photo\.png/,
      'generate',
      '--model',
      'model',
      '--adapter',
      'photo.png',
      '--prompt',
      'a {0}',
      '--out',
      'none',
    );
    expect(['bad', 'none'].filter((name) => existsSync(at(name)))).toEqual([]);
  });

  it('plans without the addon, and names the build where it is needed', () => {
    const options = { cwd: dir, encoding: 'utf8', env: { ...process.env, TLORA_ADDON: at('no-such.node') } } as const;
    expect(spawnSync(process.execPath, [...cli, 'plan', '--model', 'model'], options).status).toBe(0);
    const { status, stderr } = spawnSync(process.execPath, [...cli, ...training, '--out', 'no-addon'], options);
    expect(status).toBe(1);
    expect(stderr).toMatch(/TLORA_ADDON names it: .* npx tlora build/);
  });

  it('recomputes blocks to fit the smallest memory that works', () => {
    const refused = tlora('plan', '--model', 'model', '--threads', '2', '--memory', '1MB');
    expect(refused.status).toBe(1);
    const least = /--memory: expected at least ([\d.]+MB)/.exec(refused.stderr)?.[1];
    const planned = tlora('plan', '--model', 'model', '--threads', '2', '--memory', String(least));
    expect(planned.status).toBe(0);
    expect(planned.stdout).toMatch(/^recomputed +\d+ blocks:\n {2}\w+/m);
  });

  it('checks the machine', () => {
    const { status, stdout } = tlora('doctor', '--json');
    expect(JSON.parse(stdout).ok).toBe(true);
    expect(status).toBe(0);
  });
});

/** Starts a long run and waits until it has taken its first step. */
async function startLongRun(
  out: string,
): Promise<{ child: ChildProcess; ended: Promise<number | null>; stderr(): string }> {
  const child = spawn(process.execPath, [...cli, ...training, '--steps', '100000', '--out', out], { cwd: dir });
  let stderr = '';
  const ended = new Promise<number | null>((resolve) => child.on('close', (status) => resolve(status)));
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (text) => {
      stderr += text;
      if (stderr.includes('step 1/')) resolve();
    });
    ended.then((status) => reject(new Error(`ended early with status ${status}:\n${stderr}`)));
  });
  return { child, ended, stderr: () => stderr };
}

describe('Ctrl-C', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('once, %s, finishes the step, saves, and can be resumed', async (signal) => {
    const out = `stopped by ${signal}`;
    const { child, ended, stderr } = await startLongRun(out);
    child.kill(signal);
    expect(await ended).toBe(130);
    expect(stderr()).toContain('stopped after');
    const log = readFileSync(at(out, 'log.jsonl'), 'utf8').trim().split('\n');
    const steps = Number(/stopped after (\d+) steps/.exec(stderr())?.[1]);
    expect(
      log
        .map((line) => JSON.parse(line))
        .filter((line) => line.step !== undefined)
        .at(-1),
    ).toMatchObject({ step: steps });
    const resumed = tlora(...training, '--steps', String(steps + 1), '--out', out, '--resume', '--json');
    expect(resumed.status).toBe(0);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ steps: steps + 1 });
  });

  it('twice writes nothing more', async () => {
    const { child, ended, stderr } = await startLongRun('aborted');
    child.kill('SIGINT');
    child.kill('SIGINT');
    const status = await ended;
    expect(status).toBe(130);
    expect(stderr()).toMatch(/aborted|stopped after/); // signals that arrive as one are one
    expect(readdirSync(at('aborted')).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
