/** A duration for people: `8s`, `4m 10s`, `2h 05m`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  const pad = (n: number): string => String(n).padStart(2, '0');
  return minutes < 60 ? `${minutes}m ${pad(seconds % 60)}s` : `${Math.floor(minutes / 60)}h ${pad(minutes % 60)}m`;
}

/** Speed from the duration of one step: `4.1 it/s`, or `12.3 s/it` for slow ones. */
export function formatRate(stepMs: number): string {
  return stepMs < 1000 ? `${(1000 / Math.max(stepMs, 1e-3)).toFixed(1)} it/s` : `${(stepMs / 1000).toFixed(1)} s/it`;
}
