// Several questions that one row of logits answers: each has its classes side by side, in the order of the questions.

/** Where the classes of a question lie in a row. */
export interface ClassRange {
  readonly start: number;
  readonly end: number;
}

export interface ClassLayout<Name extends string = string> {
  /** In the order of the row. */
  readonly names: readonly Name[];
  readonly ranges: Readonly<Record<Name, ClassRange>>;
  /** Logits of a row. */
  readonly width: number;
}

/** @param questions names and numbers of classes */
export function classLayout<Name extends string>(questions: readonly (readonly [Name, number])[]): ClassLayout<Name> {
  let width = 0;
  const ranges = questions.map(([name, classes]) => {
    const start = width;
    width += classes;
    return [name, { start, end: width }] as const;
  });
  return {
    names: questions.map(([name]) => name),
    ranges: Object.fromEntries(ranges) as Record<Name, ClassRange>,
    width,
  };
}

/** The logits of one question in one of many rows: a view, not a copy. */
export function classLogits<Name extends string>(
  logits: Float32Array,
  { ranges, width }: ClassLayout<Name>,
  name: Name,
  row: number,
): Float32Array {
  const { start, end } = ranges[name];
  return logits.subarray(row * width + start, row * width + end);
}

/** The class with the largest value; the first of several. */
export function likeliest(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}
