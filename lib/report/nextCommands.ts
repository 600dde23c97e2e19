// What to do with a run next, as commands that can be copied.
import { resolveTrainOptions, type TrainOptions, trainOptionNames } from '../train/options.js';
import { modelOfRun } from '../train/runFolder.js';
import type { ReportContent } from './page.js';
import type { RunFacts } from './runFacts.js';

/** Text as a shell takes it as one word. */
export function shellWord(text: string): string {
  return /^[\w./:=@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Settings that have a place of their own in the command, or need not be given again. */
const NOT_FLAGS = new Set([
  ...['model', 'config', 'images', 'className', 'steps', 'captions', 'watch', 'sample'],
  ...['saveEvery', 'threads', 'device', 'memory'],
]);

/** The flags of all settings of a run that are not the defaults. */
function flagsOf(config: RunFacts['config']): string[] {
  const { variant, rank, captions } = config as Partial<TrainOptions>;
  const least = { model: 'model', image: 'image', className: 'class', variant, rank };
  const defaults = resolveTrainOptions(least) as unknown as Record<string, unknown>;
  const flags = Object.entries(config).flatMap(([name, value]) => {
    const isDefault = JSON.stringify(value) === JSON.stringify(defaults[name]);
    if (!trainOptionNames.includes(name) || NOT_FLAGS.has(name) || (isDefault && name !== 'variant' && name !== 'rank'))
      return [];
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (value === false) return [];
    return [value === true ? flag : `${flag} ${shellWord(String(value))}`];
  });
  return captions ? [...flags, `--caption ${captions.map(shellWord).join(' ')}`] : flags;
}

/** Commands for a run: pictures, and more steps. */
export function nextCommands({ folder, config, verdict, log }: RunFacts): ReportContent['commands'] {
  const files = modelOfRun(config);
  const model = shellWord(files.model) + (files.config === undefined ? '' : ` --config ${shellWord(files.config)}`);
  const adapter = verdict.best === null ? folder.adapterPath : folder.bestPath;
  const images = Array.isArray(config.images) ? config.images.map((image) => shellWord(String(image))).join(' ') : '';
  const steps = 2 * (log.steps.at(-1)?.step ?? 100);
  const own = [`--model ${model}`, `--class ${shellWord(String(config.className))}`, ...flagsOf(config)];
  return [
    {
      text: verdict.best === null ? 'Make pictures:' : 'Make pictures with the best checkpoint:',
      command: `npx tlora generate --model ${model} --adapter ${shellWord(adapter)} --prompt 'a {0} in the snow' --count 4`,
    },
    {
      text: 'Train longer:',
      command: `npx tlora train ${images} ${own.join(' ')} --out ${shellWord(folder.dir)} --steps ${steps} --resume`,
    },
  ];
}
