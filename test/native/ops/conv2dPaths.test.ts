// The convolutions again, all 3x3 ones by Winograd's filtering and none of them: sizes alone would choose one way for each.
// The choice is made once per process.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../../..');
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');

for (const choice of ['0', '1']) {
  it(`convolutions with TLORA_WINOGRAD=${choice}`, async () => {
    const args = [vitest, 'run', '--project', 'native', '--reporter', 'json', 'test/native/ops/conv2d.test.ts'];
    const env = { ...process.env, TLORA_WINOGRAD: choice };
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, env, maxBuffer: 1 << 26 });
    const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { numPassedTests: number; success: boolean };
    expect(report.success).toBe(true);
    expect(report.numPassedTests).toBeGreaterThan(0);
  }, 300_000);
}
