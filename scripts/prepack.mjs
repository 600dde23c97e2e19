// Before `npm pack`: puts the addon, built for the CPU alone, into prebuilds/<platform>-<arch>, so that the package works where install
// scripts do not run. Several platforms' folders may lie side by side.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const built = path.join(root, 'build', 'Release', 'tlora.node');
const folder = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`);
const prebuild = path.join(folder, 'tlora.node');

function prepack() {
  const script = path.join(root, 'scripts', 'build.mjs');
  const { status } = spawnSync(process.execPath, [script], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, TLORA_BUILD: 'cpu' },
  });
  if (status !== 0 || !existsSync(built)) throw new Error('the addon could not be built');
  mkdirSync(folder, { recursive: true });
  rmSync(prebuild, { force: true });
  copyFileSync(built, prebuild);
  // debug names are not needed by users; strip comes with the compiler
  spawnSync('strip', ['--strip-unneeded', prebuild], { stdio: 'ignore' });
  const opened = spawnSync(process.execPath, ['-e', 'process.dlopen({ exports: {} }, process.argv[1])', prebuild]);
  if (opened.status !== 0) throw new Error(`${prebuild} cannot be opened:\n${opened.stderr}`);
  process.stderr.write(
    `prebuild: ${path.relative(root, prebuild)}, ${Math.ceil(statSync(prebuild).size / 1024)} KiB\n`,
  );
}

try {
  prepack();
} catch (error) {
  process.stderr.write(`prepack: ${error.message}\n`);
  process.exitCode = 1;
}
