/** One line of the report: passed when the error is at most the bound; a p-value, when it is above the bound. */
export interface Check {
  /** The file or folder it comes from, such as `sd15/unet`. */
  readonly source: string;
  readonly what: string;
  readonly error: number;
  readonly bound: number;
  readonly passed: boolean;
  /** The tensor with the largest error, or what else helps to find a failure. */
  readonly note?: string;
}

/** Collects the checks of one source. */
export interface Checks {
  /** One number against its bound. */
  bounded(what: string, error: number, bound: number, note?: string): void;
  /** A p-value and the smallest that passes. */
  atLeast(what: string, p: number, least: number): void;
  /** Something that must be so. */
  holds(what: string, condition: boolean, note?: string): void;
  /** Each tensor against its reference; one line, for the worst. */
  each(what: string, tensors: Iterable<Compared>, bound: number): void;
}

/** One tensor: its name, what tlora computed, what the reference did. */
export interface Compared {
  readonly name: string;
  readonly ours: ArrayLike<number>;
  readonly theirs: ArrayLike<number>;
}

/** Squares of ‖ours − theirs‖ and ‖theirs‖. */
export function squares(ours: ArrayLike<number>, theirs: ArrayLike<number>): { difference: number; size: number } {
  if (ours.length !== theirs.length) return { difference: Number.POSITIVE_INFINITY, size: 0 };
  let difference = 0;
  let size = 0;
  for (let i = 0; i < theirs.length; i++) {
    difference += (ours[i]! - theirs[i]!) ** 2;
    size += theirs[i]! ** 2;
  }
  return { difference, size };
}

/** √(difference / size); a reference of zeros allows no difference at all, and nothing that is no number is allowed. */
export function ratio({ difference, size }: { difference: number; size: number }): number {
  if (difference === 0) return 0;
  return difference > 0 && size > 0 ? Math.sqrt(difference / size) : Number.POSITIVE_INFINITY;
}

/** The ratio over several tensors together. */
export function overAll(parts: readonly { difference: number; size: number }[]): number {
  const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
  return ratio({ difference: sum(parts.map((p) => p.difference)), size: sum(parts.map((p) => p.size)) });
}

/** ‖ours − theirs‖ / ‖theirs‖; infinite for another length, and for anything but zeros where the reference is 0. */
export function relativeError(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  return ratio(squares(ours, theirs));
}

/** @param factor on all bounds of errors */
export function checksOf(source: string, report: (check: Check) => void, factor = 1): Checks {
  const judge = (what: string, error: number, bound: number, note?: string): void =>
    report({ source, what, error, bound, passed: error <= bound, ...(note === undefined ? {} : { note }) });
  const bounded: Checks['bounded'] = (what, error, bound, note) => judge(what, error, bound * factor, note);
  return {
    bounded,
    atLeast: (what, p, least) => report({ source, what, error: p, bound: least, passed: p > least, note: 'p-value' }),
    holds: (what, condition, note) => bounded(what, condition ? 0 : Number.POSITIVE_INFINITY, 0, note),
    each: (what, tensors, bound) => {
      const errors = [...tensors].map(({ name, ours, theirs }) => ({ name, error: relativeError(ours, theirs) }));
      if (errors.length === 0) return bounded(what, Number.POSITIVE_INFINITY, bound, 'no tensors to compare');
      const worst = errors.reduce((a, b) => (b.error <= a.error ? a : b));
      bounded(`${what} (${errors.length})`, worst.error, bound, `worst: ${worst.name}`);
    },
  };
}
