import type { CliContext } from './context.js';

/** A signal that the first Ctrl-C aborts; a second one ends the process, as always. `end` stops listening. */
export function abortOnInterrupt(context: CliContext): { readonly signal: AbortSignal; readonly end: () => void } {
  const aborter = new AbortController();
  const end = context.onInterrupt(() => {
    aborter.abort();
    end();
  });
  return { signal: aborter.signal, end };
}
