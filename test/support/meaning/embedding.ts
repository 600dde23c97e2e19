import type { Meaning } from '../interpreter.js';

const embedding: Meaning = ([ids, table]) => {
  const c = table!.shape[1]!;
  const y = new Float64Array(ids!.data.length * c);
  return [y.map((_, i) => table!.data[ids!.data[Math.floor(i / c)]! * c + (i % c)]!)];
};

const embeddingVjp: Meaning = ([ids, dy], { rows }) => {
  const c = dy!.shape.at(-1)!;
  const dtable = new Float64Array(rows! * c);
  dy!.data.forEach((g, i) => {
    dtable[ids!.data[Math.floor(i / c)]! * c + (i % c)]! += g;
  });
  return [dtable];
};

export const meanings: Record<string, Meaning> = { embedding, embeddingVjp };
