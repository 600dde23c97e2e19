// npm run parity -- DIR [--photo FILE] [--json] [--filter TEXT] [--threads N] [--device NAME] [--precision TYPE]
// Compares tlora with the reference's results in a folder; exit status 0 only if all of at least one check passed.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { chooseDevice } from '../lib/pipeline/device.js';
import type { Check } from '../test/parity/checks.js';
import { runParity } from '../test/parity/runParity.js';
import { deviceOf } from './device-flags.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    photo: { type: 'string' },
    json: { type: 'boolean', default: false },
    filter: { type: 'string' },
    threads: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    precision: { type: 'string', default: 'fp32' },
  },
});

const number = (x: number): string => (x === 0 ? '0' : Number.isFinite(x) ? x.toExponential(1) : String(x));

function line({ passed, source, what, error, bound, note }: Check): string {
  const end = note === undefined ? '' : `  ${note}`;
  return `${passed ? 'pass' : 'FAIL'}  ${source}  ${what}  error ${number(error)}  bound ${number(bound)}${end}`;
}

async function main(): Promise<number> {
  const [dir, ...more] = positionals;
  if (dir === undefined || more.length > 0) {
    process.stderr.write(
      'usage: npm run parity -- DIR [--photo FILE] [--json] [--filter TEXT] [--threads N] [--device NAME] [--precision TYPE]\n',
    );
    return 2;
  }
  let [passed, failed] = [0, 0];
  const say = (text: string, object: object): void =>
    void process.stdout.write(`${values.json ? JSON.stringify(object) : text}\n`);
  const threads = Number(values.threads ?? availableParallelism());
  await runParity(dir, {
    threads,
    device: deviceOf(values, threads, chooseDevice),
    photo: values.photo,
    filter: values.filter,
    onCheck: (check) => {
      if (check.passed) passed++;
      else failed++;
      // JSON has no infinity.
      say(line(check), { ...check, error: Number.isFinite(check.error) ? check.error : String(check.error) });
    },
    onSkip: ({ path, reason }) => say(`skip  ${path}: ${reason}`, { skipped: path, reason }),
  });
  say(`${passed} passed, ${failed} failed`, { passed, failed });
  return failed === 0 && passed > 0 ? 0 : 1;
}

process.exitCode = await main();
