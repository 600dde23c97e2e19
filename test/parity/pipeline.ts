import type { ComputeDevice } from '../../lib/pipeline/device.js';
import { type OpenModel, openModel } from '../../lib/pipeline/openModel.js';
import { openSession, type Session } from '../../lib/pipeline/session.js';

/** A pipeline folder, the reference's results for it, and an engine for both. */
export interface Pipeline {
  /** Such as `sd15`. */
  readonly name: string;
  readonly model: OpenModel;
  /** Folder of the reference's results. */
  readonly expected: string;
  readonly session: Session;
  /** The photo from which `pixels_u8` was made. */
  readonly photo: string | undefined;
}

export interface PipelineOptions {
  readonly name: string;
  readonly dir: string;
  /** With a single file as `dir`. */
  readonly config?: string | undefined;
  readonly expected: string;
  /** What computes, or the number of threads of the CPU. */
  readonly device: number | ComputeDevice;
  readonly photo?: string | undefined;
}

/** Dispose `session.engine` at the end. */
export function openPipeline({ name, dir, config, expected, device, photo }: PipelineOptions): Pipeline {
  return { name, expected, photo, model: openModel(dir, config), session: openSession(device) };
}
