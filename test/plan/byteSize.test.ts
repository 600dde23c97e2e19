import { describe, expect, it } from 'vitest';
import { formatBytes, parseByteSize } from '../../lib/plan/byteSize.js';

describe('parseByteSize', () => {
  it.each([
    ['9GB', 9e9],
    ['8.5 GiB', 8.5 * 2 ** 30],
    ['500mb', 5e8],
    ['1024', 1024],
  ])('reads %s', (text, bytes) => {
    expect(parseByteSize(text, '--memory')).toBe(bytes);
  });

  it.each(['', 'GB', '-1GB', '9 apples', '0'])('refuses %j', (text) => {
    expect(() => parseByteSize(text, '--memory')).toThrow(
      `--memory: expected a size such as 9GB or 8.5GiB, got '${text}'`,
    );
  });
});

describe('formatBytes', () => {
  it('rounds up', () => {
    expect([0, 999, 1000, 1234, 12_345_678, 1_240_000_001].map(formatBytes)).toEqual([
      '0B',
      '999B',
      '1.00kB',
      '1.24kB',
      '12.4MB',
      '1.25GB',
    ]);
  });
});
