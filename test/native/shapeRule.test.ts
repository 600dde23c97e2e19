// The language in which ops.def states sizes, on rules that no op has: numbers at the ends of what they can be.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const CORE = resolve(import.meta.dirname, '..', '..', 'native', 'core');
/** misfit RULE SIZE OUT [ATTR]: of an input of one size and an output of one size, what does not fit. */
const SOURCE = `#include "core/shape_rule.h"
#include <cstdio>
#include <cstdlib>
int main(int, char** argv) {
  tlora::Tensor in, out;
  char data = 0;
  for (tlora::Tensor* t : {&in, &out}) t->rank = 1, t->data = &data;
  in.dims[0] = atoll(argv[2]), out.dims[0] = atoll(argv[3]);
  const double attr = argv[4] ? atof(argv[4]) : 0;
  tlora::Call call{};
  call.in = &in, call.out = &out, call.attr = &attr, call.inputs = call.outputs = call.attrs = 1;
  puts(tlora::shapeMisfit(argv[1], call).c_str());
}
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tlora-rule-'));
  writeFileSync(join(folder, 'main.cpp'), SOURCE);
  const checked = ['-fsanitize=signed-integer-overflow', '-fno-sanitize-recover=all'];
  const sources = [join(folder, 'main.cpp'), join(CORE, 'shape_rule.cpp')];
  const words = ['-std=gnu++20', ...checked, `-I${resolve(CORE, '..')}`, ...sources, '-o', join(folder, 'misfit')];
  const { status, stderr } = spawnSync('c++', words, { encoding: 'utf8' });
  expect(stderr + status).toBe('0');
});
afterAll(() => rmSync(folder, { recursive: true }));

function misfit(rule: string, ...sizes: readonly number[]): string {
  const { stdout, stderr, status } = spawnSync(join(folder, 'misfit'), [rule, ...sizes.map(String)], {
    encoding: 'utf8',
  });
  expect(stderr + status).toBe('0');
  return stdout.trim();
}

test('sums and products of sizes', () => {
  expect(misfit('a; 2a+1', 3, 7)).toBe('');
  expect(misfit('a; 2a+1', 3, 8)).toBe('output 0: sizes [8] do not fit a; 2a+1');
  expect(misfit('a; ^a-@0', 3, 6, 2)).toBe('');
});

test.each([
  ['a; aaa', 2 ** 30],
  ['a; aa+aa', 2 ** 31],
  ['a; 1-aa-aa-aa', 2 ** 31],
  ['a; aaa+aaa', 2 ** 21],
  ['a; 0-aaa-aaa-aaa', 2 ** 20.9],
])('%s of sizes whose result no number holds fits nothing', (rule, size) => {
  expect(misfit(rule, Math.floor(size), 1)).toBe(`output 0: sizes [1] do not fit ${rule}`);
});

test('a condition on what no number holds does not hold', () => {
  expect(misfit('a; 1; aaa%2', 2 ** 30, 1)).toBe('sizes and attributes against aaa%2 do not fit a; 1; aaa%2');
  expect(misfit('a; 1; a<=aa+aa', 2 ** 31, 1)).toBe('sizes and attributes against a<=aa+aa do not fit a; 1; a<=aa+aa');
  expect(misfit('a; 1; @0%8', 1, 1, -8)).toBe('sizes and attributes against @0%8 do not fit a; 1; @0%8');
});
