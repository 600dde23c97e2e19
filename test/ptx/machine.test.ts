// The PTX machine against kernels whose results or mistakes are known (test/support/cuda/ptx/planted.cu, and the emulator's own planted
// ones through nvcc). Expected fragments are written down from the figures of the PTX ISA. Built by scripts/run-ptx.mjs.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

function said(program: string, kernel: string, check = '1', sample = '0'): string {
  const env = { ...process.env, TLORA_EMULATE_CHECK: check, TLORA_PTX_SAMPLE: sample };
  return spawnSync(join(process.env.TLORA_PTX_PLANTED!, program), [kernel], { encoding: 'utf8', env }).stdout.trim();
}

/** What the kernel wrote, by place. */
function written(kernel: string): Map<number, number> {
  const [ok, ...pairs] = said('tlora-planted-ptx', kernel).split(' ');
  expect(ok).toBe('ok');
  return new Map(pairs.map((pair) => pair.split(':').map(Number) as [number, number]));
}

const lanes = (value: (lane: number) => number, count = 32): [number, number][] =>
  Array.from({ length: count }, (_, lane): [number, number] => [lane, value(lane)]).filter(([, v]) => v !== 0);

const RESULTS: readonly [kernel: string, places: [number, number][]][] = [
  // a_4 of lane 6 is A[1][12], b_2 of lane 14 is B[12][3]: D[1][3] is c_1 of lane 5.
  ['mma 1', [[5, 2]]],
  // a_3 of lane 6 is A[9][5], b_1 of lane 30 is B[5][7]: D[9][7] is c_3 of lane 7.
  ['mma 2', [[7, 4]]],
  ['copies', lanes((l) => 4 * l)],
  ['copies of nothing', []],
  ['much shared memory', lanes(() => 1)],
  ['bounded', lanes(() => 1, 64)],
  ['dependent', lanes(() => 1)],
  ['unwritten, not stored', lanes(() => 1)],
  ['variables', lanes(() => 1.5)],
  ['shuffles in two places', lanes((l) => (l < 16 ? 3 * (l + 16) + 100 : (2 * (l - 16) + 200) / 2))],
  ['shuffle edges', lanes((l) => (l % 8 < 6 ? l + 2 + 100 : l))],
  ['local', lanes((l) => 2 * l)],
  ['generic shared', lanes((l) => 7 + ((1 + l) % 32) + l)],
  ['generic global', lanes((l) => 5 + ((2 + l) % 32) + 2 * l)],
  ['numbers', lanes(() => 1, 29)],
];

test.each(RESULTS)('%s', (kernel, places) => {
  expect([...written(kernel)]).toEqual(places);
});

test('ldmatrix gives a lane two neighbours of a row, or of a column', () => {
  // Element e of the tile is e + 1. Lane 5, matrix 0: row 1, columns 2 and 3. Lane 30, matrix 2: row 7, columns 4 and 5.
  const rows = written('matrices');
  expect([rows.get(4 * 5), rows.get(4 * 30 + 2)]).toEqual([11 + 1000 * 12, 189 + 1000 * 190]);
  // Transposed: column 1, rows 2 and 3; column 7, rows 4 and 5.
  const columns = written('matrices transposed');
  expect([columns.get(4 * 5), columns.get(4 * 30 + 2)]).toEqual([18 + 1000 * 26, 168 + 1000 * 176]);
});

const MISTAKES: readonly [kernel: string, message: RegExp][] = [
  ['matrices not aligned', /PTX line \d+ 'ldmatrix.* a row of ldmatrix at 1032, which is not on 16 bytes/],
  ['copies not awaited', /'ld\.shared.*thread \(0,0,0\): a read of shared memory that a cp\.async is still to bring/],
  ['copies from outside', /thread \(16,0,0\): a copy of 16 bytes at byte 16384 of an allocation of 16384/],
  ['shared memory not asked for', /50000 bytes of shared memory, but cudaFuncSetAttribute asked for 0/],
  ['too much shared memory', /240000 bytes of shared memory; a block can have 232448/],
  ['too many threads', /a block of 128 threads, but \.maxntid allows 64/],
  ['uninitialised', /register %f[0-9]+ holds what no instruction has written/],
  ['unwritten choice', /selp\.f32.*register p holds what no instruction has written/],
  ['unwritten guard', /@p st\.global.*register p holds what no instruction has written/],
  [
    'shared memory at the end of all addresses',
    /'ld\.shared.*a read of 4 bytes at byte -1028 of the block's 128 of shared memory/,
  ],
  [
    'local memory at the end of all addresses',
    /'ld\.local.*a read of 4 bytes at byte 18446744073709551612 of \d+ of local memory/,
  ],
  ['part of a warp', /'mma\.sync.*asks for a whole warp/],
  ['dependent, not waiting', /'st\.global.*a write of global memory before griddepcontrol\.wait/],
  ['barriers in two places', /'bar\.sync 0;'.*never come to it; others wait at PTX line/],
  ['unknown instruction', /the machine does not know 'dp4a\.s32\.s32/],
  ['division by zero', /'div\.s32.*an integer is divided by zero/],
];

test.each(MISTAKES)('finds %s', (kernel, message) => {
  expect(said('tlora-planted-ptx', kernel)).toMatch(message);
});

const EMULATORS_MISTAKES: readonly [kernel: string, message: RegExp][] = [
  ['missing barrier', /kernel swapHalves.*a read of shared memory that no thread has written \(byte 128\)/],
  ['missing warp barrier', /a race: a read of shared memory that another thread wrote with no barrier between/],
  ['warp barrier between warps', /a read of shared memory that no thread has written/],
  ['two writers', /thread \(1,0,0\): a race: a write of shared memory that another thread wrote/],
  ['overwritten while read', /a race: a (read|write) of shared memory/],
  ['shared below bounds', /a read of 4 bytes at byte -4 of the block's 256 of shared memory/],
  ['dynamic shared out of bounds', /a read of 4 bytes at byte 256 of the block's 256 of shared memory/],
  ['read before written', /a read of shared memory that no thread has written \(byte 0\)/],
  ['divergent barrier', /'bar\.sync 0;'.*divergent barrier: the thread has ended, but others wait here/],
  ['divergent shuffle', /the thread reads lane 1, which has ended or never was/],
  ['shuffle outside of the mask', /reads lane 9, which is not in its mask/],
  ['global out of bounds', /thread \(1,0,0\): a write of 4 bytes at byte 16384 of an allocation of 16384/],
  ['unaligned', /a write of 16 bytes at 0x[0-9a-f]+, which is not aligned/],
];

test.each(EMULATORS_MISTAKES)("finds the emulator's %s", (kernel, message) => {
  expect(said('tlora-planted-kernels', kernel)).toMatch(message);
});

test.each([
  ['swapHalves', 'ok 32 33 31'],
  ['swapNeighbours', 'ok 1 0 62'],
  ['rounds', 'ok 3 3 3'],
  ['dynamic shared', 'ok 1 1 1'],
  ['sums', 'ok 2096 2096 2096'],
  ['segments', 'ok 0 1 61'],
  ['captured', 'ok 2096 2096 2096'],
])("passes the emulator's %s", (kernel, result) => {
  expect(said('tlora-planted-kernels', kernel)).toBe(result);
  expect(said('tlora-planted-kernels', kernel, '0')).toBe(result);
});

test('blocks of a sample reach as far as all', () => {
  expect(said('tlora-planted-kernels', 'global out of bounds', '0', '1')).toMatch(
    /at byte 16384 of an allocation of 16384/,
  );
  expect(said('tlora-planted-kernels', 'sums', '0', '1')).toMatch(/^ok/);
});
