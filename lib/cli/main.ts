#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { CliContext } from './context.js';
import { runCli } from './runCli.js';

/** Runs scripts/build.mjs; all it prints goes to stderr. */
function build(): Promise<number> {
  const script = fileURLToPath(new URL('../../scripts/build.mjs', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script], { stdio: ['ignore', process.stderr, process.stderr] });
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? 1));
  });
}

const context: CliContext = {
  out: process.stdout,
  err: process.stderr,
  env: process.env,
  parts: {
    train: () => import('../train/train.js'),
    generate: () => import('../generate/generate.js'),
    evaluate: () => import('../evaluate/evaluateRun.js'),
    report: () => import('../report/report.js'),
    demo: async () => ({ ...(await import('../demo/demo.js')), ...(await import('../demo/demoFigures.js')) }),
    plan: () => import('../train/forecast.js'),
    doctor: () => import('./doctor.js'),
    build,
  },
  onInterrupt: (listener) => {
    process.on('SIGINT', listener);
    return () => process.off('SIGINT', listener);
  },
  now: () => performance.now(),
};

runCli(process.argv.slice(2), context).then((status) => {
  process.exitCode = status;
});
