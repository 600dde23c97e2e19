import type { CliContext, CliParts } from '../../lib/cli/context.js';
import { runCli } from '../../lib/cli/runCli.js';
import type { GenerateOptions } from '../../lib/generate/options.js';
import type { TrainOptions } from '../../lib/train/options.js';
import { type RunControl, startRun } from '../../lib/train/trainingRun.js';

/** What the tests' training returns. */
export const trained = {
  adapterPath: 'runs/dog/adapter.safetensors',
  steps: 3,
  stopReason: 'completed',
  finalLoss: 0.25,
  device: { kind: 'cpu', name: 'test' },
  durationMs: 61_000,
  watch: null,
  config: {},
} as const;

/** A command line whose library is made of recorders, with all that it printed. */
export interface Recorded {
  readonly out: string;
  readonly err: string;
  readonly status: number;
  readonly train: TrainOptions | undefined;
  readonly generate: GenerateOptions | undefined;
}

export interface Settings {
  /** Body of the training run; by default it emits nothing and returns `trained`. */
  body?: (control: RunControl, interrupt: () => void) => Promise<object>;
  generate?: (options: GenerateOptions, interrupt: () => void) => Promise<never>;
  parts?: Partial<CliParts>;
  env?: Record<string, string>;
  tty?: boolean;
}

/** Runs `tlora args…` against recorders. */
export async function tlora(args: readonly string[], settings: Settings = {}): Promise<Recorded> {
  let out = '';
  let err = '';
  let given: { train?: TrainOptions; generate?: GenerateOptions } = {};
  const listeners = new Set<() => void>();
  const interrupt = (): void => {
    for (const listener of listeners) listener();
  };
  const train = (options: TrainOptions): never => {
    given = { train: options };
    const body = (control: RunControl): Promise<object> =>
      settings.body?.(control, interrupt) ?? Promise.resolve(trained);
    return startRun(body, { id: 'test', dir: 'runs/dog', signal: options.signal, onEvent: options.onEvent }) as never;
  };
  const generate = async (options: GenerateOptions): Promise<never> => {
    given = { generate: options };
    if (settings.generate) return settings.generate(options, interrupt);
    return { pictures: [{ path: 'pictures/0.png', seed: 0 }], device: trained.device, durationMs: 1000 } as never;
  };
  const missing = (): never => {
    throw new Error('this part is not under test');
  };
  const context: CliContext = {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text), isTTY: settings.tty ?? false, columns: 100 },
    env: settings.env ?? {},
    parts: {
      train: async () => ({ train }),
      generate: async () => ({ generate }),
      evaluate: missing,
      demo: missing,
      report: missing,
      convert: missing,
      plan: missing,
      doctor: missing,
      build: missing,
      ...settings.parts,
    },
    onInterrupt: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    now: () => 0,
  };
  const status = await runCli(args, context);
  return { out, err, status, train: given.train, generate: given.generate };
}
