import { addAbortListener, EventEmitter } from 'node:events';
import { AbortError } from '../errors.js';
import type { TrainEvent } from './events.js';

export type RunState = 'starting' | 'running' | 'stopping' | 'done' | 'failed' | 'aborted';

/** A training run: await it for its result, iterate it for its events, stop or abort it. */
export interface TrainingRun<R> extends PromiseLike<R>, AsyncIterable<TrainEvent>, AsyncDisposable {
  readonly id: string;
  readonly dir: string;
  readonly state: RunState;
  on<K extends TrainEvent['type']>(type: K, listener: (event: Extract<TrainEvent, { type: K }>) => void): this;
  catch<T = never>(onRejected?: ((reason: unknown) => T | PromiseLike<T>) | null): Promise<R | T>;
  finally(onFinally?: (() => void) | null): Promise<R>;
  /** Finishes the step, saves, and resolves with `stopReason: 'stopped'`. */
  stop(): Promise<R>;
  /** Discards the unfinished step and writes nothing more; the run rejects with an AbortError. */
  abort(reason?: unknown): void;
}

/** What the body of a run sees of its handle. */
export interface RunControl {
  readonly signal: AbortSignal;
  readonly stopRequested: boolean;
  /** Tells listeners; a listener that throws fails the run. */
  emit(event: TrainEvent): void;
  started(): void;
}

export interface RunHandleOptions {
  readonly id: string;
  readonly dir: string;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
}

interface Queue {
  push(event: TrainEvent): void;
  end(error?: unknown): void;
  readonly iterator: AsyncIterableIterator<TrainEvent>;
}

/** One listener's events, kept until it asks for them. */
function eventQueue(onLeave: (queue: Queue) => void): Queue {
  const waiting: TrainEvent[] = [];
  let wake: (() => void) | undefined;
  let ended: { error?: unknown } | undefined;
  const next = async (): Promise<IteratorResult<TrainEvent>> => {
    while (waiting.length === 0 && !ended) await new Promise<void>((resolve) => (wake = resolve));
    const event = waiting.shift();
    if (event) return { value: event, done: false };
    if (ended?.error !== undefined) throw ended.error;
    return { value: undefined, done: true };
  };
  const queue: Queue = {
    push: (event) => {
      waiting.push(event);
      wake?.();
    },
    end: (error) => {
      ended = error === undefined ? {} : { error };
      wake?.();
    },
    iterator: {
      next,
      return: async () => {
        onLeave(queue);
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    },
  };
  return queue;
}

/**
 * Starts `body` and gives its handle at once. A failure surfaces through whichever of `await`, `catch` and `for await` is used
 * and never as an unhandled rejection; leaving a `for await` ends listening, not the run.
 */
export function startRun<R>(body: (control: RunControl) => Promise<R>, options: RunHandleOptions): TrainingRun<R> {
  const emitter = new EventEmitter();
  const queues = new Set<Queue>();
  const aborter = new AbortController();
  let state: RunState = 'starting';
  let stopRequested = false;
  const emit = (event: TrainEvent): void => {
    for (const queue of queues) queue.push(event);
    emitter.emit(event.type, event);
    options.onEvent?.(event);
  };
  const abort = (reason?: unknown): void => {
    if (state === 'starting' || state === 'running') state = 'stopping';
    aborter.abort(reason ?? new AbortError());
  };
  const watch =
    options.signal && !options.signal.aborted
      ? addAbortListener(options.signal, () => abort(options.signal!.reason))
      : undefined;
  if (options.signal?.aborted) abort(options.signal.reason);
  const control: RunControl = {
    signal: aborter.signal,
    get stopRequested() {
      return stopRequested;
    },
    emit,
    started: () => {
      if (state === 'starting') state = 'running';
    },
  };
  const finished = (async () => {
    await Promise.resolve();
    try {
      if (aborter.signal.aborted) throw new AbortError(aborter.signal.reason);
      const value = await body(control);
      state = 'done';
      for (const queue of queues) queue.end();
      return value;
    } catch (cause) {
      const error = aborter.signal.aborted ? asAbort(aborter.signal.reason) : cause;
      state = aborter.signal.aborted ? 'aborted' : 'failed';
      for (const queue of queues) queue.end(error);
      throw error;
    } finally {
      watch?.[Symbol.dispose]();
    }
  })();
  finished.catch(() => {});
  return {
    id: options.id,
    dir: options.dir,
    get state() {
      return state;
    },
    // biome-ignore lint/suspicious/noThenProperty: the handle is awaited like a child process of execa
    then: (onResolved, onRejected) => finished.then(onResolved, onRejected),
    catch: (onRejected) => finished.catch(onRejected),
    finally: (onFinally) => finished.finally(onFinally),
    on(type, listener) {
      emitter.on(type, listener as (event: TrainEvent) => void);
      return this;
    },
    stop: () => {
      stopRequested = true;
      if (state === 'starting' || state === 'running') state = 'stopping';
      return finished;
    },
    abort,
    [Symbol.asyncIterator]: () => {
      const queue = eventQueue((left) => queues.delete(left));
      queues.add(queue);
      finished.then(
        () => queue.end(),
        (error: unknown) => queue.end(error),
      );
      return queue.iterator;
    },
    [Symbol.asyncDispose]: async () => {
      if (state !== 'done' && state !== 'failed') abort();
      await finished.catch(() => {});
    },
  };
}

/** The one error of every aborted run, with what the user gave as the reason as its cause. */
function asAbort(reason: unknown): AbortError {
  return reason instanceof AbortError ? reason : new AbortError(reason);
}
