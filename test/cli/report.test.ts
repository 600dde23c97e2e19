import { expect, it } from 'vitest';
import type { ReportOptions } from '../../lib/report/report.js';
import { tlora } from './recorder.js';

function report(...args: string[]) {
  let given: ReportOptions | undefined;
  const write = async (options: ReportOptions): Promise<string> => {
    given = options;
    options.onProgress?.(1, 2);
    return 'runs/a/report.html';
  };
  const parts = { report: async () => ({ report: write }) };
  return tlora(['report', ...args], { parts }).then((recorded) => ({ ...recorded, given }));
}

it('tlora report passes runs and flags on, and prints the path', async () => {
  const { out, err, status, given } = await report('--run', 'a', '--run', 'b', '--prompt', 'x', 'y', '--count', '3');
  expect(given).toMatchObject({ runs: ['a', 'b'], prompts: ['x', 'y'], count: 3 });
  expect({ out, err, status }).toEqual({ out: 'runs/a/report.html\n', err: 'pictures: 1 of 2\n', status: 0 });
});

it('tlora report prints JSON, and is quiet when asked', async () => {
  const { out, err } = await report('--run', 'a', '--json', '--quiet');
  expect(JSON.parse(out)).toEqual({ path: 'runs/a/report.html' });
  expect(err).toBe('');
});

it('tlora report wants a run', async () => {
  expect(await report()).toMatchObject({ status: 2, given: undefined });
});
