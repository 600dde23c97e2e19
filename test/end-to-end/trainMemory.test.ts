import { describe, expect, it } from 'vitest';
import type { TrainEvent } from '../../lib/train/events.js';
import { planTraining } from '../../lib/train/forecast.js';
import type { TrainOptions } from '../../lib/train/options.js';
import { train } from '../../lib/train/train.js';
import { eventsOf, type TinyTraining, tinyTraining, valuesOf } from './tinyTraining.js';

const sd15 = tinyTraining();
const sdxl = tinyTraining('tiny-sdxl', 'float16');

/** Packing memory of one thread, which belongs to the threads and not to the engine's count. */
const WORKSPACE_BYTES = 4 * 2 ** 20;

/** Bytes that the run forecast, and the most that its engines held until its last step. */
async function measured(
  tiny: TinyTraining,
  out: string,
  more: Partial<TrainOptions>,
): Promise<{ forecast: number; peak: number }> {
  const options = { ...tiny.options(out), ...more };
  const events = await eventsOf(train(options));
  const of = <T extends TrainEvent['type']>(type: T): Extract<TrainEvent, { type: T }>[] =>
    events.filter((e): e is Extract<TrainEvent, { type: T }> => e.type === type);
  const peak = of('step').at(-1)!.memory.peak;
  return { forecast: of('forecast')[0]!.memory, peak: peak + options.threads! * WORKSPACE_BYTES };
}

const cases: [string, Partial<TrainOptions>][] = [
  ['plain', {}],
  ['one thread', { threads: 1 }],
  ['lora', { variant: 'lora' }],
  ['rank 16', { rank: 16 }],
  ['batch 4', { batch: 4 }],
  ['accumulate 2', { accumulate: 2 }],
  ['retract', { orthogonal: 'retract' }],
  ['retract, accumulate 2', { orthogonal: 'retract', accumulate: 2, rank: 16 }],
  ['start from the weights', { start: 'weight' }],
  ['pictures during training', { steps: 2, sample: { every: 1, prompts: ['a {0}'] } }],
  ['watched', { steps: 2, watch: { every: 1, draws: 1 } }],
  ['watched with pictures, 256 pixels', { resolution: 256, steps: 2, watch: { every: 1, draws: 1, samples: 1 } }],
  ['512 pixels', { resolution: 512 }],
  ['512 pixels, batch 2', { resolution: 512, batch: 2 }],
  ['256 pixels, pictures during training', { resolution: 256, steps: 2, sample: { every: 1, prompts: ['a {0}'] } }],
];

describe('the forecast', () => {
  it.each(cases)('is what the run takes, to 3 %%: %s', async (name, more) => {
    for (const [kind, tiny] of Object.entries({ sd15, sdxl })) {
      const { forecast, peak } = await measured(tiny, `${kind} ${name}`, { steps: 1, ...more });
      expect(Math.abs(peak / forecast - 1), `${kind}: forecast ${forecast}, took ${peak}`).toBeLessThan(0.03);
    }
  });

  it('is kept when memory is limited, and the values are the same bits', async () => {
    const more = { resolution: 256, batch: 4, steps: 1 };
    const plain = await measured(sd15, 'plain', more);
    const limit = Math.floor(plain.forecast * 0.8);
    const { forecast, peak } = await measured(sd15, 'limited', { ...more, memory: limit });
    expect(forecast).toBeLessThanOrEqual(limit);
    expect(Math.abs(peak / forecast - 1)).toBeLessThan(0.03);
    expect(valuesOf(sd15.at('limited')).state).toEqual(valuesOf(sd15.at('plain')).state);
  });

  it('covers encoding, which may be the largest phase', async () => {
    const { forecast } = await measured(sd15, 'encode', { resolution: 512, steps: 1 });
    const { forecast: step } = planTraining({ model: sd15.model, resolution: 512, rank: 4, threads: 2 });
    expect(forecast).toBeGreaterThan(step.totalBytes);
    const limited = sd15.run('limited encode', { resolution: 512, memory: forecast - 1 });
    await expect(limited).rejects.toThrow(/expected at least [\d.]+MB to encode the pictures and prompts, got/);
  });
});
