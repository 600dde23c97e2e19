import { availableParallelism } from 'node:os';
import type { ComputeDevice } from '../pipeline/device.js';
import { ensureState, openSession, type Session } from '../pipeline/session.js';
import { EVALUATORS_DIR, type EvaluatorConfig, type EvaluatorFiles, openEvaluatorFiles } from './evaluatorFiles.js';
import { GATE_SIZES, type GateFigures, type GateSizes, measureGates, missedGates } from './gates.js';
import { loadedReader, type Reader } from './reader.js';

/** Frozen evaluators with an engine of their own. */
export interface Evaluators extends Reader {
  readonly config: EvaluatorConfig;
}

/** A reader of values that need not be in a folder; its session is disposed with it. */
export async function readerOf(
  { layout, values }: Pick<EvaluatorFiles, 'layout' | 'values'>,
  sizes: EvaluatorConfig['sizes'],
  device: number | ComputeDevice = availableParallelism(),
): Promise<Reader> {
  const session: Session = openSession(device);
  try {
    ensureState(session, 'params', layout.total);
    session.engine.writeState('params', 0, values);
    const reader = await loadedReader(session, sizes, { layout, buffer: 'params' });
    return { ...reader, dispose: () => session.engine.dispose() };
  } catch (error) {
    session.engine.dispose();
    throw error;
  }
}

/**
 * Opens evaluators for reading pictures.
 * @param dir default: those of the package
 * @throws (by rejecting) ConfigError if there are none, FileFormatError, NativeAddonError
 */
export async function openEvaluators({
  dir = EVALUATORS_DIR,
  threads = availableParallelism(),
  device,
}: {
  dir?: string | undefined;
  threads?: number | undefined;
  /** What computes in float32; default the CPU. */
  device?: ComputeDevice | undefined;
} = {}): Promise<Evaluators> {
  const files = openEvaluatorFiles(dir);
  return { ...(await readerOf(files, files.config.sizes, device ?? threads)), config: files.config };
}

export interface Verification {
  readonly measured: GateFigures;
  /** What falls short of the gates, or differs from what the config says; empty if all is well. */
  readonly problems: readonly string[];
}

/** Largest difference of a share from the recorded one: processors differ in the last bits, which may turn a close call. */
const TOLERANCE = 0.003;

function differences(config: GateFigures, measured: GateFigures): string[] {
  const flat = ({ fresh, distorted, ...others }: GateFigures): [string, number][] => [
    ...Object.entries(fresh).map(([name, share]): [string, number] => [`${name}, fresh`, share]),
    ...Object.entries(distorted).map(([name, share]): [string, number] => [`${name}, distorted`, share]),
    ...Object.entries(others as Record<string, number>),
  ];
  const recorded = new Map(flat(config));
  return flat(measured).flatMap(([name, share]) => {
    const said = recorded.get(name) ?? Number.NaN;
    return Math.abs(said - share) <= TOLERANCE ? [] : [`${name}: expected ${said} as recorded, got ${share}`];
  });
}

/**
 * Checks the checksum of evaluators, measures all gates anew and compares with what their config says. Takes about a minute.
 * @param sizes of the measurement; with others than GATE_SIZES only the gates are checked
 */
export async function verifyEvaluators(
  options: Parameters<typeof openEvaluators>[0] = {},
  sizes: GateSizes = GATE_SIZES,
): Promise<Verification> {
  const evaluators = await openEvaluators(options);
  try {
    const measured = await measureGates(evaluators, sizes);
    const changed = sizes === GATE_SIZES ? differences(evaluators.config.gates, measured) : [];
    return { measured, problems: [...missedGates(measured), ...changed] };
  } finally {
    evaluators.dispose();
  }
}
