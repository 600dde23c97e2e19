/** Something that needs `bytes` from step `first` to step `last`, both included. */
export interface Interval {
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
}

/** Every tensor starts on a cache line. */
export const ALIGNMENT = 64;

export function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** The most bytes live at any step. */
export function livePeak(intervals: readonly Interval[]): number {
  const change = new Map<number, number>();
  for (const { first, last, bytes } of intervals) {
    change.set(first, (change.get(first) ?? 0) + aligned(bytes));
    change.set(last + 1, (change.get(last + 1) ?? 0) - aligned(bytes));
  }
  let live = 0;
  let peak = 0;
  for (const step of [...change.keys()].sort((a, b) => a - b)) {
    live += change.get(step)!;
    peak = Math.max(peak, live);
  }
  return peak;
}

interface Placed {
  first: number;
  last: number;
  offset: number;
  end: number;
}

/** Lowest offset at which `bytes` fit beside all placed intervals that overlap in time. `placed` is sorted by offset. */
function lowestGap(placed: readonly Placed[], interval: Interval, bytes: number): { offset: number; index: number } {
  let offset = 0;
  let index = placed.length;
  for (let i = 0; i < placed.length; i++) {
    const other = placed[i]!;
    if (other.last < interval.first || interval.last < other.first) continue;
    if (other.offset >= offset + bytes) {
      index = i;
      break;
    }
    if (other.end > offset) offset = other.end;
  }
  return { offset, index };
}

function placeInOrder(intervals: readonly Interval[], order: readonly number[]): { offsets: number[]; total: number } {
  const placed: Placed[] = [];
  const offsets = new Array<number>(intervals.length).fill(0);
  let total = 0;
  for (const i of order) {
    const interval = intervals[i]!;
    const bytes = aligned(interval.bytes);
    const { offset } = lowestGap(placed, interval, bytes);
    offsets[i] = offset;
    total = Math.max(total, offset + bytes);
    insert(placed, { first: interval.first, last: interval.last, offset, end: offset + bytes });
  }
  return { offsets, total };
}

function insert(placed: Placed[], item: Placed): void {
  let low = 0;
  let high = placed.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (placed[middle]!.offset < item.offset) low = middle + 1;
    else high = middle;
  }
  placed.splice(low, 0, item);
}

/**
 * Offsets for all intervals so that no two live ones overlap. Tries the orders "largest first", "longest-lived first" and
 * "first come" and keeps the smallest arena (offset assignment is NP-hard; these reach the live peak within a few per cent).
 */
export function place(intervals: readonly Interval[]): { offsets: number[]; total: number } {
  const peak = livePeak(intervals);
  const indices = intervals.map((_, i) => i);
  const span = (i: number): number => intervals[i]!.last - intervals[i]!.first;
  const by = (key: (i: number) => number): number[] => [...indices].sort((a, b) => key(b) - key(a) || a - b);
  const orders = [
    () => by((i) => intervals[i]!.bytes),
    () => by((i) => span(i) * 1e-3 + intervals[i]!.bytes),
    () => by((i) => span(i)),
    () => by((i) => -intervals[i]!.first),
  ];
  let best = { offsets: [] as number[], total: Number.POSITIVE_INFINITY };
  for (const order of orders) {
    if (best.total <= peak * 1.02) break;
    const tried = placeInOrder(intervals, order());
    if (tried.total < best.total) best = tried;
  }
  return best.total === Number.POSITIVE_INFINITY ? { offsets: [], total: 0 } : best;
}
