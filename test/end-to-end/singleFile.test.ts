import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../lib/generate/generate.js';
import { nextCommands, shellWord } from '../../lib/report/nextCommands.js';
import { readRunFacts } from '../../lib/report/runFacts.js';
import { modelOfRun, readRunConfig, runFolder } from '../../lib/train/runFolder.js';
import { convertersKeys, writeOriginalFile } from '../support/originalFile.js';
import { logOf, tinyTraining, valuesOf } from './tinyTraining.js';

const files = mkdtempSync(join(tmpdir(), 'tlora-single-'));
afterAll(() => rmSync(files, { recursive: true }));

/** The same tensors behind a header of another length, so that they begin at odd bytes, as early writers left them. */
function shifted(path: string, to: string): void {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE());
  const text = bytes.subarray(8, 8 + length).toString();
  const header = Buffer.from(`${text}${length % 2 === 0 ? ' ' : '  '}`);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(to, Buffer.concat([size, header, bytes.subarray(8 + length)]));
}

describe.each([
  ['tiny-sd15', 'float16', 'tiny-sd15'],
  ['tiny-sdxl', 'float32', 'tiny-sdxl'],
  ['tiny-sdxl', 'bfloat16', 'tiny-sdxl'],
])('%s in %s as a single file', (shape, dtype, keys) => {
  const tiny = tinyTraining(shape, dtype);
  const file = join(files, `${shape}-${dtype}.safetensors`);
  const odd = join(files, `${shape}-${dtype}-odd.safetensors`);
  const single = (model: string) => ({ model, config: tiny.model });

  beforeAll(async () => {
    await writeOriginalFile(file, tiny.model, convertersKeys(keys));
    shifted(file, odd);
    await tiny.run('folder');
    await tiny.run('file', single(file));
  });

  it('trains as its folder does, bit for bit', () => {
    const [folder, single] = [valuesOf(tiny.at('folder')), valuesOf(tiny.at('file'))];
    expect(single.state.equals(folder.state)).toBe(true);
    expect(single.adapter.equals(folder.adapter)).toBe(true);
    expect(logOf(tiny.at('file'))).toEqual(logOf(tiny.at('folder')));
  });

  it('is named whole in the commands of a report', async () => {
    const commands = nextCommands(await readRunFacts(tiny.at('file'), 0));
    expect(commands).toHaveLength(2);
    for (const { command } of commands) {
      expect(command.split(` --model ${shellWord(file)} --config ${shellWord(tiny.model)} `)).toHaveLength(2);
      expect(command.split('--config')).toHaveLength(2);
    }
  });

  it('goes on with a run of its folder, but not with other values', async () => {
    await tiny.run('file', { ...single(file), steps: 3, resume: true });
    await tiny.run('folder', { ...single(odd), steps: 3, resume: true });
    expect(valuesOf(tiny.at('folder')).state.equals(valuesOf(tiny.at('file')).state)).toBe(true);
    expect(modelOfRun(readRunConfig(runFolder(tiny.at('folder'))))).toEqual({ model: odd, config: tiny.model });
    const other = join(files, 'other.safetensors');
    const bytes = readFileSync(file);
    bytes[8 + Number(bytes.readBigUInt64LE())]! ^= 1;
    writeFileSync(other, bytes);
    const run = tiny.run('folder', { ...single(other), steps: 4, resume: true });
    await expect(run).rejects.toThrow(/model: expected .*, as in the run to go on with, got .*other\.safetensors/);
  });

  it('makes the pictures of its folder, with an adapter that was trained on that, wherever its bytes begin', async () => {
    const adapter = join(tiny.at('folder'), 'adapter.safetensors');
    const picture = async (name: string, model: { model: string; config?: string }): Promise<Buffer> => {
      const outputDir = join(files, `${shape}-${dtype}-${name}`);
      mkdirSync(outputDir);
      const options = { ...model, adapter, prompt: 'a {0}', steps: 2, size: 64, threads: 2, outputDir };
      const { pictures } = await generate({ ...options, device: 'cpu' });
      return sharp(pictures[0]!.path).raw().toBuffer();
    };
    const folder = await picture('folder', { model: tiny.model });
    expect((await picture('file', single(file))).equals(folder)).toBe(true);
    expect((await picture('odd', single(odd))).equals(folder)).toBe(true);
  });
});
