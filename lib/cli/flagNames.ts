/** Options whose flag is not the kebab-case of their name. */
const RENAMED: Readonly<Record<string, string>> = {
  className: '--class',
  outputDir: '--out',
  image: 'picture',
  images: 'picture',
  captions: '--caption',
  runs: '--run',
  prompts: '--prompt',
  'watch.every': '--watch-every',
  'watch.draws': '--watch-draws',
  'watch.samples': '--watch-samples',
  'watch.prompt': '--watch-prompt',
  'sample.every': '--sample-every',
  'sample.prompts': '--sample-prompt',
};

/** The flag of an option of `train` or `generate`: `minRank` → `--min-rank`. */
export function flagName(option: string): string {
  return RENAMED[option] ?? `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** A message of an option check with the option's name replaced by its flag: `minRank: expected …` → `--min-rank: expected …`. */
export function withFlagName(message: string, options: readonly string[]): string {
  const match = /^([A-Za-z]+)((?:\.[A-Za-z0-9]+)*): /.exec(message);
  if (!match || !options.includes(match[1]!)) return message;
  const path = match[2]!.replace(/\.\d+$/, '');
  return `${flagName(match[1]! + path)}: ${message.slice(match[0].length)}`;
}
