import type { Meaning } from '../interpreter.js';

const recordStep: Meaning = ([steps, loss, norm, losses], { growthInterval }) => {
  const after = steps!.data.slice();
  const [l, n] = [loss!.data[0]!, norm!.data[0]!];
  let [, , scale, good, failed, count] = after as unknown as [number, number, number, number, number, number];
  const finite = Number.isFinite(l) && Number.isFinite(n);
  const applied = finite && failed === 0;
  const row = [l, n, scale, applied ? 0 : 1, ...(losses?.data ?? [])];
  if (8 + row.length * count < after.length) after.set(row, 8 + row.length * count++);
  const dynamic = growthInterval! > 0;
  if (applied) {
    good++;
    if (dynamic && good >= growthInterval!) [scale, good] = [Math.min(2 * scale, 2 ** 24), 0];
  } else if (failed === 0) {
    if (dynamic && Number.isFinite(l) && scale > 1) [scale, good] = [scale / 2, 0];
    else failed = Number.NaN;
  }
  after.set([0, 1 / scale, scale, good, failed, count, after[6]! + Number(applied)]);
  return [after, Float64Array.of(applied ? 0 : Number.NaN)];
};

export const meanings: Record<string, Meaning> = { recordStep };
