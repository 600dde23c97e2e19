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
  /**
   * Each tensor against its reference; one line, for the worst.
   * @param like an earlier check whose rounding these values share: a single number may have less of it by luck (plainRounding.ts)
   */
  each(what: string, tensors: Iterable<Compared>, bound: number, like?: string): void;
}

/** One tensor: its name, what tlora computed, what the reference did. */
export interface Compared {
  readonly name: string;
  readonly ours: ArrayLike<number>;
  readonly theirs: ArrayLike<number>;
  /** Where both began: the error is then relative to how far the reference went from there. */
  readonly from?: ArrayLike<number>;
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

function errorOf({ ours, theirs, from }: Compared): number {
  const { difference, size } = squares(ours, theirs);
  return ratio({ difference, size: from ? squares(from, theirs).difference : size });
}

/** The bound that holds in the place of one for float32 on the CPU. */
export type BoundOf = (bound: number, what: string, like?: string) => number;

/** How errors are judged. */
export interface Judging {
  readonly boundOf: BoundOf;
  /** Of several tensors, the error of the worst, or the root of the mean square of all. */
  readonly several: 'worst' | 'mean';
}

/** As float32 on the CPU is. */
export const STRICT: Judging = { boundOf: (bound) => bound, several: 'worst' };

export function checksOf(source: string, report: (check: Check) => void, judging: Judging = STRICT): Checks {
  const { boundOf, several } = judging;
  const judge = (what: string, error: number, bound: number, note?: string): void =>
    report({ source, what, error, bound, passed: error <= bound, ...(note === undefined ? {} : { note }) });
  const bounded: Checks['bounded'] = (what, error, bound, note) => judge(what, error, boundOf(bound, what), note);
  return {
    bounded,
    atLeast: (what, p, least) => report({ source, what, error: p, bound: least, passed: p > least, note: 'p-value' }),
    holds: (what, condition, note) => bounded(what, condition ? 0 : Number.POSITIVE_INFINITY, 0, note),
    each: (what, tensors, bound, like) => {
      const errors = [...tensors].map((tensor) => ({ name: tensor.name, error: errorOf(tensor) }));
      if (errors.length === 0) return bounded(what, Number.POSITIVE_INFINITY, bound, 'no tensors to compare');
      const worst = errors.reduce((a, b) => (b.error <= a.error ? a : b));
      const meanSquare = errors.reduce((sum, { error }) => sum + error ** 2, 0) / errors.length;
      const all = `${what} (${errors.length})`;
      const error = several === 'worst' ? worst.error : Math.sqrt(meanSquare);
      judge(all, error, boundOf(bound, all, like), `worst: ${worst.name}`);
    },
  };
}
