import type { ConvertResult } from '../convert/convertAdapter.js';
import type { ConvertOptions } from '../convert/options.js';
import type { DemoOptions, DemoResult } from '../demo/demo.js';
import type { EvaluateRunOptions, RunEvaluation } from '../evaluate/evaluateRun.js';
import type { GenerateResult } from '../generate/generate.js';
import type { GenerateOptions } from '../generate/options.js';
import type { ReportTable } from '../report/page.js';
import type { ReportOptions } from '../report/report.js';
import type { PlanReport } from '../train/forecast.js';
import type { TrainOptions } from '../train/options.js';
import type { PlanTrainingOptions } from '../train/planOptions.js';
import type { TrainResult } from '../train/train.js';
import type { TrainingRun } from '../train/trainingRun.js';
import type { DoctorReport } from './doctor.js';

/** Where text goes: a process's stdout or stderr, or a test's recorder. */
export interface Screen {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** The library behind the commands. Each part is loaded when its command runs, so that `--help` needs none of them. */
export interface CliParts {
  train(): Promise<{ train(options: TrainOptions): TrainingRun<TrainResult> }>;
  generate(): Promise<{ generate(options: GenerateOptions): Promise<GenerateResult> }>;
  evaluate(): Promise<{ evaluateRun(options: EvaluateRunOptions): Promise<RunEvaluation> }>;
  convert(): Promise<{ convertAdapter(options: ConvertOptions): Promise<ConvertResult> }>;
  report(): Promise<{ report(options: ReportOptions): Promise<string> }>;
  demo(): Promise<{
    demo(options: DemoOptions): Promise<DemoResult>;
    tableText(table: ReportTable): string;
    readonly MINI_DIR: string;
  }>;
  plan(): Promise<{ planTraining(options: PlanTrainingOptions): PlanReport }>;
  doctor(): Promise<{ doctor(): Promise<DoctorReport> }>;
  /** Builds the addon; resolves with the exit status. */
  build(): Promise<number>;
}

/** All that the commands need from outside. */
export interface CliContext {
  /** Results only. */
  readonly out: Screen;
  /** Everything else. */
  readonly err: Screen;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly parts: CliParts;
  /** Calls `listener` at every Ctrl-C or SIGTERM, until the returned function is called. */
  onInterrupt(listener: () => void): () => void;
  /** Milliseconds. */
  now(): number;
}

/** What commands share: how much to say, and in which form. */
export interface OutputOptions {
  json?: boolean;
  quiet?: boolean;
  progress?: boolean;
}

/** Exit statuses of the command line. */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;
