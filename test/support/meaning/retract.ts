import type { Meaning } from '../interpreter.js';
import { columnsOf, frameOf, fromColumns } from './qrFrame.js';

const retract: Meaning = ([params, table, loss, norm]) => {
  const out = Float64Array.from(params!.data);
  if ([loss, norm].some((judged) => judged && !Number.isFinite(judged.data[0]))) return [out];
  for (let row = 0; row < table!.shape[0]!; row++) {
    const [offset, length, count, transposed] = table!.data.subarray(4 * row, 4 * row + 4) as unknown as number[];
    const values = out.subarray(offset!, offset! + length! * count!);
    const vectors = transposed
      ? Array.from({ length: count! }, (_, i) => values.slice(i * length!, (i + 1) * length!))
      : columnsOf(values, length!, count!);
    values.set(fromColumns(frameOf(vectors), transposed !== 0));
  }
  return [out];
};

export const meanings: Record<string, Meaning> = { retract };
