// Puts the CPU addon of this platform into prebuilds/, which the published package carries. Runs before `npm pack`.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const target = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`);
const options = { stdio: ['ignore', process.stderr, process.stderr], env: { ...process.env, TLORA_BUILD: 'cpu' } };
const built = spawnSync(process.execPath, [path.join(root, 'scripts', 'build.mjs')], options);
if (built.status !== 0) process.exit(built.status ?? 1);
fs.mkdirSync(target, { recursive: true });
fs.copyFileSync(path.join(root, 'build', 'Release', 'tlora.node'), path.join(target, 'tlora.node'));
