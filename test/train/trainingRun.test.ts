import { describe, expect, it } from 'vitest';
import { AbortError } from '../../lib/errors.js';
import type { TrainEvent } from '../../lib/train/events.js';
import { type RunControl, startRun, type TrainingRun } from '../../lib/train/trainingRun.js';

const warning = (message: string): TrainEvent => ({ type: 'warning', code: 'TEST', message });

function run(body: (control: RunControl) => Promise<string>, more: object = {}): TrainingRun<string> {
  return startRun(body, { id: 'a', dir: 'runs/a', ...more });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('startRun', () => {
  it('resolves like a promise and reports its state', async () => {
    const handle = run(async (control) => {
      control.started();
      await turn();
      return 'done';
    });
    expect(handle.state).toBe('starting');
    expect(await handle).toBe('done');
    expect(handle.state).toBe('done');
  });

  it('gives events to iterators, listeners and the callback', async () => {
    const seen: string[] = [];
    const handle = run(
      async ({ emit }) => {
        for (const text of ['a', 'b']) {
          emit(warning(text));
          await turn();
        }
        return 'x';
      },
      { onEvent: (e: TrainEvent) => seen.push(`callback ${e.type}`) },
    ).on('warning', (e) => seen.push(`on ${e.message}`));
    const iterated: string[] = [];
    for await (const event of handle) if (event.type === 'warning') iterated.push(event.message);
    expect(iterated).toEqual(['a', 'b']);
    expect(seen).toEqual(['on a', 'callback warning', 'on b', 'callback warning']);
  });

  it('goes on after a listener leaves the loop', async () => {
    const handle = run(async ({ emit }) => {
      emit(warning('first'));
      await turn();
      emit(warning('second'));
      return 'finished';
    });
    for await (const _event of handle) break;
    expect(await handle).toBe('finished');
  });

  it('fails through await and through for await', async () => {
    const handle = run(async () => {
      throw new Error('broken');
    });
    await expect(
      (async () => {
        for await (const _event of handle);
      })(),
    ).rejects.toThrow('broken');
    await expect(handle.catch((e) => (e as Error).message)).resolves.toBe('broken');
    expect(handle.state).toBe('failed');
  });

  it('fails when a callback throws', async () => {
    const handle = run(
      async ({ emit }) => {
        emit(warning('x'));
        return 'never';
      },
      {
        onEvent: () => {
          throw new Error('from the callback');
        },
      },
    );
    await expect(handle.then()).rejects.toThrow('from the callback');
  });

  it('stops: resolves with what the body returns', async () => {
    const handle = run(async (control) => {
      while (!control.stopRequested) await turn();
      return 'stopped';
    });
    await expect(handle.stop()).resolves.toBe('stopped');
  });

  it('aborts by itself and by signal, with the reason as cause', async () => {
    const body = async (control: RunControl): Promise<string> => {
      while (!control.signal.aborted) await turn();
      throw new Error('cut off');
    };
    const reason = new Error('enough');
    const handle = run(body);
    handle.abort(reason);
    await expect(handle.then()).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    expect(handle.state).toBe('aborted');
    const controller = new AbortController();
    const bySignal = run(body, { signal: controller.signal });
    controller.abort(reason);
    await expect(bySignal.then()).rejects.toMatchObject({ cause: reason });
    const before = run(async () => 'never', { signal: AbortSignal.abort(reason) });
    await expect(before.then()).rejects.toBeInstanceOf(AbortError);
  });

  it('aborts and waits when disposed', async () => {
    let ended = false;
    const body = async (control: RunControl): Promise<string> => {
      while (!control.signal.aborted) await turn();
      ended = true;
      throw new AbortError();
    };
    {
      await using handle = run(body);
      await turn();
      expect(handle.state).toBe('starting');
    }
    expect(ended).toBe(true);
  });
});
