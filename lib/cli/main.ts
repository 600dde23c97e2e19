#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type CliContext, EXIT } from './context.js';
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

/**
 * Readers may leave at any time (`| head`, a closed terminal): that ends no run. Other refusals of stdout, such as a full disk, fail the
 * command; those of stderr could not be told.
 */
let isOutputLost = false;
process.stderr.on('error', () => {});
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  isOutputLost = true;
  process.exitCode = EXIT.failed;
  process.stderr.write(`error: Cannot write to stdout: ${error.message}\n`);
});

/** What asks a process to end: Ctrl-C, and the system or a job scheduler. */
const INTERRUPTS = ['SIGINT', 'SIGTERM'] as const;

const context: CliContext = {
  out: process.stdout,
  err: process.stderr,
  env: process.env,
  parts: {
    train: () => import('../train/train.js'),
    generate: () => import('../generate/generate.js'),
    evaluate: () => import('../evaluate/evaluateRun.js'),
    convert: () => import('../convert/convertAdapter.js'),
    report: () => import('../report/report.js'),
    demo: async () => ({ ...(await import('../demo/demo.js')), ...(await import('../demo/demoFigures.js')) }),
    plan: () => import('../train/forecast.js'),
    doctor: () => import('./doctor.js'),
    build,
  },
  onInterrupt: (listener) => {
    for (const name of INTERRUPTS) process.on(name, listener);
    return () => {
      for (const name of INTERRUPTS) process.off(name, listener);
    };
  },
  now: () => performance.now(),
};

runCli(process.argv.slice(2), context).then((status) => {
  process.exitCode = isOutputLost ? EXIT.failed : status;
});
