// LoRA and T-LoRA on one picture, side by side: training, pictures from the same noise, figures, and a page.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../errors.js';
import { EVALUATORS_DIR } from '../evaluate/evaluatorFiles.js';
import { writeFileAtomic } from '../io/atomicFile.js';
import { loadPhoto, pixelsToSigned, writePng } from '../io/image.js';
import { nextCommands, shellWord } from '../report/nextCommands.js';
import { type ReportTable, reportPage } from '../report/page.js';
import { type RunFacts, readRunFacts } from '../report/runFacts.js';
import type { TrainEvent } from '../train/events.js';
import { resolveTrainOptions, type TrainOptions } from '../train/options.js';
import { train } from '../train/train.js';
import type { Scene } from '../world/attributes.js';
import { SIDE } from '../world/canvas.js';
import { concept, conceptTrainingView } from '../world/concepts.js';
import { vocabulary } from '../world/lexicon.js';
import type { Prompt } from '../world/prompts.js';
import { holdsEvaluators, judgeSides } from './demoFigures.js';
import { claimDemoFolder, expectDemoFolder, picturesDir } from './demoFolder.js';
import { type PictureSide, type SidePictures, sidePictures } from './demoPictures.js';
import { DEMO_CONCEPT, DEMO_SETTINGS, type DemoSettings, demoPrompts, MOST_PICTURES } from './settings.js';

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
  /** [64, 64, 3], 0…255 */
  readonly pixels: Uint8Array;
}

async function subjectOf({ dir, image, className }: DemoOptions): Promise<Subject> {
  if (image !== undefined) {
    const { pixels } = await loadPhoto(image, SIDE);
    return { image, className: className ?? 'creature', scene: {}, pixels };
  }
  const { picture, scene } = conceptTrainingView(DEMO_CONCEPT);
  const { pixels } = picture;
  return { image: join(dir, 'sprite.png'), className: className ?? concept(DEMO_CONCEPT).noun, scene, pixels };
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

function sideOptions({ options, settings, model, subject }: Stage, { variant }: (typeof SIDES)[number]): TrainOptions {
  const { rank, steps, learningRates, seed } = settings;
  return {
    ...{ model, rank, steps, seed, variant, learningRate: learningRates[variant] },
    ...{ image: subject.image, className: subject.className, prompt: 'a {0}', token: 'sks' },
    ...{ threads: options.threads, signal: options.signal, onEvent: options.onEvent },
    watch: { every: Math.max(1, Math.round(steps / 16)), draws: 2 },
    outputDir: join(options.dir, variant),
    overwrite: true,
  };
}

async function trainSide(stage: Stage, side: (typeof SIDES)[number]): Promise<{ adapter: string; seconds: number }> {
  const { rank, steps } = stage.settings;
  stage.note(`training ${side.name}: rank ${rank}, ${steps} steps`);
  const { adapterPath, durationMs } = await train(sideOptions(stage, side));
  return { adapter: adapterPath, seconds: durationMs / 1000 };
}

/** All that can be wrong with the options is found before an earlier demo in the folder is touched. */
async function openStage(options: DemoOptions): Promise<Stage> {
  const given = Object.entries(options).filter(([name, value]) => name in DEMO_SETTINGS && value !== undefined);
  const settings: DemoSettings = { ...DEMO_SETTINGS, ...Object.fromEntries(given) };
  const { pictures } = settings;
  if (!Number.isInteger(pictures) || pictures < 1 || pictures > MOST_PICTURES)
    throw new ConfigError(`pictures: expected a whole number from 1 to ${MOST_PICTURES}, got ${pictures}`);
  const subject = await subjectOf(options);
  const note = options.onNote ?? (() => {});
  const stage: Stage = { options, settings, model: options.model ?? MINI_DIR, subject, note };
  for (const side of SIDES) resolveTrainOptions(sideOptions(stage, side));
  expectDemoFolder(options.dir);
  return stage;
}

async function allPictures(
  { options, settings, model, subject, note }: Stage,
  sides: readonly PictureSide[],
  prompts: readonly Prompt[],
): Promise<SidePictures[]> {
  const dir = picturesDir(options.dir);
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
        command: 'npx tlora demo --image my.png --class creature',
      },
      ...nextCommands(runs[1]!),
      {
        text: 'All figures of a run, with rows of comparison:',
        command: `npx tlora evaluate --run ${shellWord(join(options.dir, 'tlora'))}`,
      },
    ],
  });
  await writeFileAtomic(path, page);
  return path;
}

/**
 * Runs the demo.
 * @throws (by rejecting) ConfigError for bad options or a folder that holds something else; what `train`, `generate` and the evaluators throw
 */
export async function demo(options: DemoOptions): Promise<DemoResult> {
  const begun = performance.now();
  const stage = await openStage(options);
  const { settings, subject, note } = stage;
  const sides: PictureSide[] = [{ name: 'no adapter', folder: 'none' }];
  await claimDemoFolder(options.dir, [sides[0]!.folder, ...SIDES.map(({ variant }) => variant)]);
  if (options.image === undefined) await writePng(subject.image, subject.pixels, SIDE, SIDE);
  const unknown = unknownWords(subject.className);
  if (unknown.length > 0)
    note(
      `the mini model has never read '${unknown.join("', '")}': creature and object are known, and so are dog, cat, car, …`,
    );
  const seconds = new Map<string, number>();
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
    const training = pixelsToSigned(subject.pixels);
    table = await judgeSides(pictures, { evaluators, training, prompts, seconds, threads: options.threads });
  }
  options.signal?.throwIfAborted();
  const reportPath = await writePage(stage, pictures, { prompts, table });
  return { reportPath, table, seconds: (performance.now() - begun) / 1000 };
}
