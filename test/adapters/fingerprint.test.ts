import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { baseFingerprint } from '../../lib/adapters/fingerprint.js';
import { FileFormatError } from '../../lib/errors.js';
import { float16ToFloat32, float32ToFloat16 } from '../../lib/io/halfFloat.js';
import { readSafetensorsHeader, type SafetensorsDtype, writeSafetensors } from '../../lib/io/safetensors.js';
import { pseudoRandom } from '../support/pseudoRandom.js';

const dir = mkdtempSync(join(tmpdir(), 'tlora-fingerprint-'));
afterAll(() => rmSync(dir, { recursive: true }));

const random = pseudoRandom(1);
const LARGE = float16ToFloat32(float32ToFloat16(Float32Array.from({ length: 40 * 30 }, () => random.normal())));
const SMALL = new Float32Array([1, -2, 0.5, 65504, 1e-7, 0.1]);
const PATHS = ['b.to_q', 'a.to_k'];

async function fingerprint(large: Float32Array, dtype: SafetensorsDtype = 'F32', shape = [40, 30]): Promise<string> {
  const path = join(dir, 'base.safetensors');
  await writeSafetensors(path, [
    { key: 'a.to_k.weight', dtype, shape, data: large },
    { key: 'b.to_q.weight', dtype: 'F32', shape: [2, 3], data: SMALL },
    { key: 'other.weight', dtype: 'F32', shape: [1], data: new Float32Array(1) },
  ]);
  return baseFingerprint(readSafetensorsHeader(path).tensors, PATHS);
}

const withValue = (i: number): Float32Array => LARGE.map((v, k) => (k === i ? v + 1 : v));

describe('baseFingerprint', () => {
  it('is the SHA-256 that its definition says', async () => {
    const hash = createHash('sha256');
    hash.update('a.to_k.weight\n40x30\n');
    hash.update(Buffer.from(float32ToFloat16(LARGE.subarray(0, 1024)).buffer));
    hash.update('b.to_q.weight\n2x3\n');
    hash.update(Buffer.from([0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38, 0xff, 0x7b, 0x02, 0x00, 0x66, 0x2e]));
    expect(await fingerprint(LARGE)).toBe(hash.digest('hex'));
  });

  it('is the same for a float16 copy, and ignores the rest of a weight', async () => {
    expect(await fingerprint(LARGE, 'F16')).toBe(await fingerprint(LARGE));
    expect(await fingerprint(withValue(1024))).toBe(await fingerprint(LARGE));
  });

  it('tells values and shapes apart', async () => {
    expect(await fingerprint(withValue(1023))).not.toBe(await fingerprint(LARGE));
    expect(await fingerprint(LARGE, 'F32', [30, 40])).not.toBe(await fingerprint(LARGE));
  });

  it('names a layer that the base lacks', () => {
    expect(() => baseFingerprint(new Map(), ['x'])).toThrow(FileFormatError);
    expect(() => baseFingerprint(new Map(), ['x'])).toThrow("tensor 'x.weight'");
  });
});
