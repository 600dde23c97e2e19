// LoRA and T-LoRA on one picture, side by side: training, pictures from the same noise, figures, and a page.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EVALUATORS_DIR } from '../evaluate/evaluatorFiles.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { loadPhoto, pixelsToSigned, writePng } from '../io/image.js';
import { nextCommands } from '../report/nextCommands.js';
import { type ReportTable, reportPage } from '../report/page.js';
import { type RunFacts, readRunFacts } from '../report/runFacts.js';
import type { TrainEvent } from '../train/events.js';
import { train } from '../train/train.js';
import type { Scene } from '../world/attributes.js';
import { SIDE } from '../world/canvas.js';
import { concept, conceptTrainingView } from '../world/concepts.js';
import { vocabulary } from '../world/lexicon.js';
import type { Prompt } from '../world/prompts.js';
import { holdsEvaluators, judgeSides } from './demoFigures.js';
import { type PictureSide, type SidePictures, sidePictures } from './demoPictures.js';
import { DEMO_CONCEPT, DEMO_SETTINGS, type DemoSettings, demoPrompts } from './settings.js';

/** The mini model's folder of the package. */
export const MINI_DIR: string = fileURLToPath(new URL('../../models/mini', import.meta.url));

export interface DemoOptions extends Partial<DemoSettings> {
  /** Folder of everything that the demo makes; what an earlier demo made there is replaced. */
  readonly dir: string;
  /** A picture of one's own; default: a novel sprite. */
  readonly image?: string | undefined;
  /** What the picture shows; default: the sprite's noun, or `creature`. */
  readonly className?: string | undefined;
  /** Default: the package's. */
  readonly model?: string | undefined;
  readonly evaluators?: string | undefined;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
  /** Hears what is being done. */
  readonly onNote?: ((text: string) => void) | undefined;
}

export interface DemoResult {
  readonly reportPath: string;
  /** null: there are no evaluators. */
  readonly table: ReportTable | null;
  /** Seconds in all. */
  readonly seconds: number;
}

const SIDES = [
  { variant: 'lora', name: 'LoRA' },
  { variant: 'tlora', name: 'T-LoRA' },
] as const;

/** The picture to train on. */
interface Subject {
  readonly image: string;
  readonly className: string;
  /** What the picture is known to show. */
  readonly scene: Partial<Scene>;
}

async function subjectOf({ dir, image, className }: DemoOptions): Promise<Subject> {
  if (image !== undefined) return { image, className: className ?? 'creature', scene: {} };
  const { picture, scene } = conceptTrainingView(DEMO_CONCEPT);
  const path = join(dir, 'sprite.png');
  await writePng(path, picture.pixels, SIDE, SIDE);
  return { image: path, className: className ?? concept(DEMO_CONCEPT).noun, scene };
}

/** Words that no caption of the mini world has. */
export function unknownWords(text: string): string[] {
  const known = new Set(vocabulary);
  return text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '' && !known.has(word));
}

/** What each part of the demo needs. */
interface Stage {
  readonly options: DemoOptions;
  readonly settings: DemoSettings;
  readonly model: string;
  readonly subject: Subject;
  readonly note: (text: string) => void;
}

async function trainSide(stage: Stage, side: (typeof SIDES)[number]): Promise<{ adapter: string; seconds: number }> {
  const { options, settings, model, subject, note } = stage;
  const { rank, steps, learningRates, seed } = settings;
  note(`training ${side.name}: rank ${rank}, ${steps} steps`);
  const { adapterPath, durationMs } = await train({
    ...{ model, rank, steps, seed, variant: side.variant, learningRate: learningRates[side.variant] },
    ...{ image: subject.image, className: subject.className, prompt: 'a {0}', token: 'sks' },
    ...{ threads: options.threads, signal: options.signal, onEvent: options.onEvent },
    watch: { every: Math.max(1, Math.round(steps / 16)), draws: 2 },
    outputDir: join(options.dir, side.variant),
    overwrite: true,
  });
  return { adapter: adapterPath, seconds: durationMs / 1000 };
}

async function allPictures(
  { options, settings, model, subject, note }: Stage,
  sides: readonly PictureSide[],
  prompts: readonly Prompt[],
): Promise<SidePictures[]> {
  const dir = join(options.dir, 'pictures');
  rmSync(dir, { recursive: true, force: true });
  const all: SidePictures[] = [];
  const count = sides.length * prompts.length;
  let done = 0;
  const onPicture = (): void => {
    done++;
    if (done % prompts.length === 0 || done % 6 === 0) note(`pictures: ${done} of ${count}`);
  };
  const { seed, samplerSteps } = settings;
  const { threads, signal } = options;
  const shared = { model, className: subject.className, prompts, seed: 1000 * seed, samplerSteps };
  for (const side of sides) all.push(await sidePictures(side, { ...shared, threads, signal, dir, onPicture }));
  return all;
}

async function writePage(
  { options, subject }: Stage,
  sides: readonly SidePictures[],
  { prompts, table }: { prompts: readonly Prompt[]; table: ReportTable | null },
): Promise<string> {
  const runs: RunFacts[] = [];
  for (const [colour, { variant, name }] of SIDES.entries())
    runs.push(await readRunFacts(join(options.dir, variant), colour, name));
  const colourOf = (name: string): number => runs.find(({ label }) => label === name)?.colour ?? 6;
  const rows = prompts.map((prompt, i) => ({
    prompt: prompt.template.replace('{0}', `sks ${subject.className}`),
    cells: sides.map(({ side, embedded }) => ({
      ...{ label: side.name, colour: colourOf(side.name) },
      pictures: [embedded[i]!],
    })),
  }));
  const path = join(options.dir, 'report.html');
  const page = reportPage({
    title: 'One picture, two ways to learn it',
    lead: 'LoRA and T-LoRA of the same rank, seed and steps on the mini model, as it came out.',
    ...{ runs, rows, tables: table ? [table] : [] },
    rowsNote: 'Each prompt from the same noise. Without an adapter the prompt names the class alone.',
    commands: [
      {
        text: 'The same with a picture of your own (64 × 64 is what the mini model sees):',
        command: 'npm run demo -- --image my.png --class creature',
      },
      ...nextCommands(runs[1]!),
      {
        text: 'All figures of a run, with rows of comparison:',
        command: `npx tlora evaluate --run ${join(options.dir, 'tlora')}`,
      },
    ],
  });
  await writeFileAtomic(path, page);
  return path;
}

/**
 * Runs the demo.
 * @throws (by rejecting) what `train`, `generate` and the evaluators throw
 */
export async function demo(options: DemoOptions): Promise<DemoResult> {
  const begun = performance.now();
  const note = options.onNote ?? (() => {});
  const given = Object.entries(options).filter(([name, value]) => name in DEMO_SETTINGS && value !== undefined);
  const settings: DemoSettings = { ...DEMO_SETTINGS, ...Object.fromEntries(given) };
  mkdirSync(options.dir, { recursive: true });
  rmSync(join(options.dir, 'report.html'), { force: true });
  const subject = await subjectOf(options);
  const stage: Stage = { options, settings, model: options.model ?? MINI_DIR, subject, note };
  const unknown = unknownWords(subject.className);
  if (unknown.length > 0)
    note(
      `the mini model has never read '${unknown.join("', '")}': creature and object are known, and so are dog, cat, car, …`,
    );
  const seconds = new Map<string, number>();
  const sides: PictureSide[] = [{ name: 'no adapter', folder: 'none' }];
  for (const side of SIDES) {
    const trained = await trainSide(stage, side);
    seconds.set(side.name, trained.seconds);
    sides.push({ name: side.name, folder: side.variant, adapter: trained.adapter });
  }
  const prompts = demoPrompts(settings.pictures, subject.scene);
  const pictures = await allPictures(stage, sides, prompts);
  const evaluators = options.evaluators ?? EVALUATORS_DIR;
  let table: ReportTable | null = null;
  if (holdsEvaluators(evaluators)) {
    note('judging the pictures');
    const training = pixelsToSigned((await loadPhoto(subject.image, SIDE)).pixels);
    table = await judgeSides(pictures, { evaluators, training, prompts, seconds, threads: options.threads });
  }
  const reportPath = await writePage(stage, pictures, { prompts, table });
  return { reportPath, table, seconds: (performance.now() - begun) / 1000 };
}
