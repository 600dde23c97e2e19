import type { PreparedRun } from './prepareRun.js';
import type { RunControl } from './trainingRun.js';

/** Makes one picture of each prompt with the adapters as they are now. */
export async function samplePictures(
  _run: PreparedRun,
  _control: RunControl,
  _step: number,
  _prompts: readonly string[],
): Promise<void> {}
