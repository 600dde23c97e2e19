// The emulator against kernels with planted mistakes (test/support/cuda/planted): it finds each, and passes their correct twins.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

function planted(kernel: string, check = '1'): { said: string; status: number | null; errors: string } {
  const env = { ...process.env, TLORA_EMULATE_CHECK: check };
  const ran = spawnSync(process.env.TLORA_PLANTED!, [kernel], { encoding: 'utf8', env });
  return { said: ran.stdout.trim(), status: ran.status, errors: ran.stderr };
}

const MISTAKES: readonly [kernel: string, message: RegExp][] = [
  [
    'missing barrier',
    /thread \(0,0,0\): a read of shared array tile, byte 128, which no thread has written at planted.cu:\d+/,
  ],
  ['missing warp barrier', /shared array tile, byte 4, which no thread has written/],
  ['warp barrier between warps', /shared array tile, byte 252, which no thread has written/],
  [
    'two writers',
    /thread \(1,0,0\): race: a write of shared array tile, byte 0, which thread 0 touched with no barrier between/,
  ],
  ['overwritten while read', /race: a (read|write) of shared array tile/],
  ['shared out of bounds', /shared array tile has 64 elements: index 64 is out of bounds/],
  ['shared below bounds', /index -1 is out of bounds/],
  ['dynamic shared out of bounds', /index 64 is out of bounds/],
  ['read before written', /a read of shared array tile, byte 0, which no thread has written/],
  ['divergent barrier', /divergent barrier: the thread ended, but others wait at planted.cu:\d+/],
  ['two barriers', /divergent barrier: the thread waits at planted.cu:\d+, but others at planted.cu:\d+/],
  ['divergent shuffle', /lane 1 of warp 0 never came to the warp's exchange/],
  ['shuffle outside of the mask', /reads lane 9, which is not in its mask/],
  ['two blocks write', /block \(1,0,0\).*race: a write of device memory, byte 0 of 16384, which another block touched/],
  [
    "a block reads another's",
    /block \(1,0,0\).*race: a read of device memory, byte 0 of 16384, which another block touched/,
  ],
  ['global out of bounds', /a write outside of all device memory/],
  ['unaligned', /an access of 16 bytes is not aligned/],
  [
    'touched before waiting',
    /thread \(0,0,0\): a write of device memory before the kernel before was waited for at planted.cu:\d+/,
  ],
  ['ended without waiting', /thread \(32,0,0\): the thread never waited for the kernel before/],
];

const CORRECT: readonly [kernel: string, result: string][] = [
  ['swapHalves', 'ok 32 33 31'],
  ['swapNeighbours', 'ok 1 0 62'],
  ['rounds', 'ok 3 3 3'],
  ['dynamic shared', 'ok 1 1 1'],
  ['sums', 'ok 2096 2096 2096'],
  ['segments', 'ok 0 1 61'],
  ['two launches', 'ok 0 0 0'],
  ['captured', 'ok 2096 2096 2096'],
];

test.each(MISTAKES)('finds %s', (kernel, message) => {
  expect(planted(kernel).said).toMatch(message);
});

test.each(CORRECT)('passes %s', (kernel, result) => {
  expect(planted(kernel).said).toBe(result);
  expect(planted(kernel, '0').said).toBe(result);
});

test('stops a host that touches device memory', () => {
  const { said, errors } = planted('host');
  expect(said).toBe('');
  expect(errors).toContain('the host touched device memory');
});

test('finds divergence and bounds of shared memory without the checks of every access', () => {
  expect(planted('divergent barrier', '0').said).toMatch(/divergent barrier/);
  expect(planted('shared out of bounds', '0').said).toMatch(/out of bounds/);
});
