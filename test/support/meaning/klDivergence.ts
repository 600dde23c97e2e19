import type { Meaning } from '../interpreter.js';

const klDivergence: Meaning = ([mean, logvar]) => {
  const each = mean!.data.map((mu, i) => 0.5 * (mu ** 2 + Math.exp(logvar!.data[i]!) - 1 - logvar!.data[i]!));
  return [Float64Array.of(each.reduce((sum, v) => sum + v, 0) / each.length)];
};

const klDivergenceVjp: Meaning = ([mean, logvar, dkl], _attrs, [dmean, dlogvar]) => {
  const each = dkl!.data[0]! / mean!.data.length;
  return [
    dmean ? mean!.data.map((mu) => each * mu) : null,
    dlogvar ? logvar!.data.map((lv) => 0.5 * each * (Math.exp(lv) - 1)) : null,
  ];
};

export const meanings: Record<string, Meaning> = { klDivergence, klDivergenceVjp };
