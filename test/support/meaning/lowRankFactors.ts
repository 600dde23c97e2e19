import type { Meaning, Tensor64 } from '../interpreter.js';

type Optional = Tensor64 | null | undefined;

/** Row j of a down factor [r, in], times its diagonal. */
function scaledRow(down: Tensor64, lambda: Optional, j: number): Float64Array {
  const width = down.shape[1]!;
  return down.data.slice(j * width, (j + 1) * width).map((q) => q * (lambda ? lambda.data[j]! : 1));
}

/** The layers of each group, given what the first of each has and the others lack. */
function groupsOf(firsts: readonly unknown[]): number[][] {
  const groups: number[][] = [];
  firsts.forEach((first, i) => {
    if (first) groups.push([i]);
    else groups.at(-1)!.push(i);
  });
  return groups;
}

const lowRankFactors: Meaning = ([activeRank, ...inputs], _attrs, outputs) => {
  const found: (Float64Array | null)[] = outputs.map(() => null);
  for (const group of groupsOf(outputs.filter((_, i) => i % 2 === 0))) {
    const first = group[0]!;
    const [copies, columns, width] = outputs[2 * first]!.shape as [number, number, number];
    const stack = columns / group.length;
    const a = new Float64Array(copies * columns * width);
    const b: number[] = [];
    group.forEach((layer, l) => {
      const [up, down, lambda, up0, down0, lambda0] = inputs.slice(6 * layer);
      const [out, r] = up!.shape as [number, number];
      for (let copy = 0; copy < copies; copy++) {
        for (let j = 0; j < Math.min(r, activeRank!.data[copy]!); j++) {
          const place = (block: number): number => (copy * columns + l * stack + block * (stack / 2) + j) * width;
          const row = scaledRow(down!, lambda, j);
          a.set(row, place(0));
          if (!up0) continue;
          const start = scaledRow(down0!, lambda0, j);
          a.set(
            row.map((value, k) => value - start[k]!),
            place(1),
          );
        }
      }
      const blocks = up0 ? 2 : 1;
      for (let o = 0; o < out; o++) {
        const row = new Array<number>(stack).fill(0);
        for (let j = 0; j < r; j++) {
          const [p, p0] = [up!.data[o * r + j]!, up0 ? up0.data[o * r + j]! : 0];
          row[j] = p - p0;
          if (blocks === 2) row[stack / 2 + j] = p0;
        }
        b.push(...row);
      }
    });
    found[2 * first] = a;
    found[2 * first + 1] = Float64Array.from(b);
  }
  return found;
};

/** One layer's dDown and dLambda of the gradient of its group's a, whose rows for it begin at `from`. */
function scaled(activeRank: Tensor64, [down, lambda, dA]: [Tensor64, Optional, Tensor64], from: number, stack: number) {
  const [copies, columns, width] = dA.shape as [number, number, number];
  const r = down.shape[0]!;
  const dDown = new Float64Array(r * width);
  const dLambda = new Float64Array(r);
  const blocks = stack > 8 * Math.ceil(r / 8) ? [0, stack / 2] : [0];
  for (let copy = 0; copy < copies; copy++) {
    for (let j = 0; j < Math.min(r, activeRank.data[copy]!); j++) {
      for (let k = 0; k < width; k++) {
        const gradient = blocks.reduce((sum, at) => sum + dA.data[(copy * columns + from + at + j) * width + k]!, 0);
        dDown[j * width + k]! += gradient * (lambda ? lambda.data[j]! : 1);
        dLambda[j]! += gradient * down.data[j * width + k]!;
      }
    }
  }
  return [dDown, dLambda] as const;
}

const lowRankFactorsVjp: Meaning = ([activeRank, ...inputs], _attrs, outputs) => {
  const found: (Float64Array | null)[] = outputs.map(() => null);
  const count = inputs.length / 4;
  for (const group of groupsOf(Array.from({ length: count }, (_, i) => inputs[4 * i + 2] ?? inputs[4 * i + 3]))) {
    const [, , dA, dB] = inputs.slice(4 * group[0]!);
    group.forEach((layer, l) => {
      const [down, lambda] = inputs.slice(4 * layer);
      const [dUp, dDown, dLambda] = outputs.slice(3 * layer);
      if (dUp)
        found[3 * layer] = dB!.data.slice(
          (l * dB!.data.length) / group.length,
          ((l + 1) * dB!.data.length) / group.length,
        );
      if (!dDown && !dLambda) return;
      const stack = dA!.shape[1]! / group.length;
      const made = scaled(activeRank!, [down!, lambda, dA!], l * stack, stack);
      if (dDown) found[3 * layer + 1] = made[0];
      if (dLambda) found[3 * layer + 2] = made[1];
    });
  }
  return found;
};

export const meanings: Record<string, Meaning> = { lowRankFactors, lowRankFactorsVjp };
