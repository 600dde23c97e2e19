// How much captions tell: the loss with each picture's own caption against the loss with that of another picture. Means of the training
// loss fall whether or not captions are read; this does not.
import { createGraph } from '../graph/graph.js';
import type { Component } from '../io/modelFolder.js';
import type { FlatLayout } from '../params/flatLayout.js';
import { loadProgram, readResult, type Session, writeAll } from '../pipeline/session.js';
import type { NoiseSchedule } from '../schedulers/noiseSchedule.js';
import { streamKeys } from '../train/draws.js';
import { latentKeys, timeFeeds } from './draws.js';
import type { ModelConfigs } from './miniModel.js';
import { type PictureSource, pictureBatch } from './pictures.js';
import { stateTrees } from './trainedTree.js';
import { appendUnetLoss, frozenLatents } from './unetGraphs.js';
import { UNSEEN } from './vaeStage.js';

/** Unseen pictures, and the times at which each is judged, as shares of all times. */
const JUDGED = { pictures: 16, times: [0.65, 0.75, 0.85, 0.95] } as const;

export interface CaptionWorthParts {
  readonly vae: Component;
  readonly pictures: PictureSource;
  readonly schedule: NoiseSchedule;
  readonly side: number;
  readonly seed: number;
  /** Token ids of texts, one after the other. */
  readonly tokens: (texts: readonly string[]) => Int32Array;
}

/**
 * 1 − loss with the right captions ÷ loss with those of other pictures, at high noise, for the averaged weights in the state buffer `ema`:
 * 0 where captions are not read.
 */
export async function captionWorth(
  session: Session,
  configs: ModelConfigs,
  layout: FlatLayout,
  { vae, pictures, schedule, side, seed, tokens }: CaptionWorthParts,
): Promise<number> {
  const n = JUDGED.pictures;
  const graph = createGraph();
  appendUnetLoss(stateTrees(graph, layout, 'ema'), configs, frozenLatents(graph, vae, { pictures: n, draws: 1, side }));
  const program = await loadProgram(session, graph, [vae]);
  const { image, captions } = pictureBatch(pictures, UNSEEN, n, 1);
  const others = captions.map((_caption, i) => captions[(i + 1) % n]!);
  const sums = { own: 0, others: 0 };
  try {
    writeAll(program, { image, latentKey: latentKeys(seed, UNSEEN, n), noiseKey: streamKeys(seed, 0, n) });
    for (const share of JUDGED.times) {
      const times = Array<number>(n).fill(Math.round(share * (schedule.trainTimesteps - 1)));
      writeAll(program, timeFeeds(schedule, times));
      for (const [name, texts] of Object.entries({ own: captions, others }) as ['own' | 'others', string[]][]) {
        writeAll(program, { inputIds: tokens(texts) });
        await program.run();
        sums[name] += readResult(program, 'loss')[0]!;
      }
    }
  } finally {
    program.dispose();
  }
  return 1 - sums.own / sums.others;
}
