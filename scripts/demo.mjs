// LoRA and T-LoRA on one picture, side by side, with the mini model: `npm run demo -- --help`. All files go to runs/demo, which the next demo
// replaces. In a checkout without the mini model's weights, a demo with random ones takes its place.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { randomDemo } from './randomDemo.mjs';

const root = path.resolve(import.meta.dirname, '..');

const USAGE = `npm run demo -- [options]
  --image FILE     a picture of your own (default: a novel sprite)
  --class WORD     what it shows, a word that the mini model knows (default: creature)
  --steps N        training steps of each side (default: 400)
  --pictures N     pictures of each side, at most 12 (default: 12)
  --rank N         (default: 16)
  --seed N         (default: 1)
  --threads N      (default: all cores)
  --model DIR      another folder of the mini model's kind (default: models/mini)
  --evaluators DIR (default: models/evaluators)
  --out DIR        (default: runs/demo)`;

const NUMBERS = ['steps', 'pictures', 'rank', 'seed', 'threads'];

function readArguments() {
  const names = ['image', 'class', 'model', 'evaluators', 'out', ...NUMBERS];
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
  const { values } = parseArgs({ options: { ...options, help: { type: 'boolean' } } });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  for (const name of NUMBERS) {
    if (values[name] === undefined) continue;
    if (!/^\d+$/.test(values[name]))
      throw new Error(`--${name}: expected a whole number, got ${values[name]}\n\n${USAGE}`);
    values[name] = Number(values[name]);
  }
  const { class: className, out, ...others } = values;
  return { ...others, className, dir: out ?? path.join('runs', 'demo') };
}

/** Ctrl-C ends the demo. */
function interruptSignal() {
  const aborter = new AbortController();
  process.once('SIGINT', () => aborter.abort());
  return aborter.signal;
}

async function main() {
  const options = readArguments();
  if (!existsSync(path.join(root, 'dist', 'demo', 'demo.js')))
    throw new Error('dist is missing: run npm install, or npm run build');
  const { demo, MINI_DIR } = await import('../dist/demo/demo.js');
  const { tableText } = await import('../dist/demo/demoFigures.js');
  const { createProgress } = await import('../dist/cli/progress.js');
  if (!existsSync(path.join(options.model ?? MINI_DIR, 'model_index.json'))) {
    if (options.model !== undefined)
      throw new Error(`--model: expected a model folder, found none at ${options.model}`);
    if (options.image !== undefined)
      throw new Error('--image needs the trained weights of models/mini, which this checkout lacks');
    console.log(
      'This checkout has no models/mini, the trained weights that the real demo needs: random weights take their place.',
    );
    await randomDemo();
    return;
  }
  const screen = createProgress({ err: process.stdout, env: process.env, now: () => performance.now() }, {});
  const note = (text) => {
    screen.end();
    screen.note(text);
  };
  const onEvent = (event) => {
    if (event.type !== 'device' && event.type !== 'forecast') screen.event(event);
  };
  const { table, reportPath, seconds } = await demo({ ...options, signal: interruptSignal(), onEvent, onNote: note });
  screen.end();
  console.log(`\n${table ? tableText(table) : 'No figures: this checkout has no models/evaluators.'}`);
  if (table) console.log(`\n${table.note}`);
  console.log(`\nDone in ${seconds.toFixed(0)} s. Open ${path.resolve(reportPath)} in a browser.`);
}

main().catch((error) => {
  console.error(`demo: ${error.message}`);
  process.exitCode = error.name === 'AbortError' ? 130 : 1;
});
