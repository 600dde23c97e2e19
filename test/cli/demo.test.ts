import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { DemoOptions, DemoResult } from '../../lib/demo/demo.js';
import { ConfigError } from '../../lib/errors.js';
import { tlora } from './recorder.js';

const model = mkdtempSync(join(tmpdir(), 'tlora-demo-cli-'));
writeFileSync(join(model, 'model_index.json'), '{}');
afterAll(() => rmSync(model, { recursive: true, force: true }));

const table: DemoResult['table'] = { title: 'Figures', head: ['fidelity'], rows: [['LoRA', '0.5']], note: 'A note.' };

function demoOf(args: readonly string[], result: Partial<DemoResult> = {}) {
  let given: DemoOptions | undefined;
  const demo = async (options: DemoOptions): Promise<DemoResult> => {
    given = options;
    options.onNote?.('judging the pictures');
    return { reportPath: 'runs/demo/report.html', table, seconds: 61.4, ...result };
  };
  const parts = { demo: async () => ({ demo, tableText: () => 'the table', MINI_DIR: model }) };
  return tlora(['demo', ...args], { parts }).then((recorded) => ({ ...recorded, given }));
}

it('tlora demo passes its flags on, prints the table, and says where the page is', async () => {
  const { out, err, status, given } = await demoOf([
    '--image',
    'a.png',
    '--class',
    'cat',
    '--steps',
    '9',
    '--rank',
    '4',
  ]);
  expect(given).toMatchObject({ image: 'a.png', className: 'cat', steps: 9, rank: 4, dir: join('runs', 'demo') });
  expect(out).toBe('\nthe table\n\nA note.\n');
  expect(err).toContain('judging the pictures');
  expect(err).toMatch(/Done in 61 s\. Open .*report\.html in a browser\./);
  expect(status).toBe(0);
});

it('tlora demo prints JSON, and nothing else with --quiet', async () => {
  const { out, err } = await demoOf(['--json', '--quiet', '--out', 'elsewhere']);
  expect(JSON.parse(out)).toEqual({ table, reportPath: 'runs/demo/report.html', seconds: 61.4 });
  expect(err).toBe('');
});

it('tlora demo says what is wrong with a flag, and ends as interrupted by Ctrl-C', async () => {
  const failing = (error: Error) =>
    tlora(['demo'], {
      parts: {
        demo: async () => ({ demo: () => Promise.reject(error), tableText: () => '', MINI_DIR: model }),
      },
    });
  const bad = await failing(new ConfigError('pictures: expected a whole number from 1 to 12, got 13'));
  expect(bad).toMatchObject({
    status: 2,
    out: '',
    err: 'error: --pictures: expected a whole number from 1 to 12, got 13\n',
  });
  const stop = new AbortController();
  stop.abort();
  expect(await failing(stop.signal.reason)).toMatchObject({ status: 130, out: '', err: 'aborted\n' });
});

it('tlora demo does without evaluators, and not without a model', async () => {
  const { out, err } = await demoOf(['--evaluators', 'none'], { table: null });
  expect(out).toBe('');
  expect(err).toContain('no figures: no evaluators in none');
  const bad = await demoOf(['--model', 'nowhere']);
  expect(bad).toMatchObject({ status: 2, given: undefined });
  expect(bad.err).toContain('--model: expected a folder with model_index.json, found none at nowhere');
});
