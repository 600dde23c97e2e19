// Every kernel again, on the slower paths that this machine would not choose. The path is chosen once per process, so each
// runs in its own.
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../../..');
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
const files = readdirSync(import.meta.dirname)
  .filter((name) => !name.endsWith('Paths.test.ts'))
  .map((name) => path.join('test/native/ops', name));

for (const cpu of ['portable', 'avx2']) {
  it(`all kernels with TLORA_CPU=${cpu}`, async () => {
    const args = [vitest, 'run', '--project', 'native', '--reporter', 'json', ...files];
    const env = { ...process.env, TLORA_CPU: cpu };
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, env, maxBuffer: 1 << 26 });
    const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { numTotalTestSuites: number; success: boolean };
    expect(report.success).toBe(true);
    expect(report.numTotalTestSuites).toBeGreaterThanOrEqual(files.length);
  }, 300_000);
}
