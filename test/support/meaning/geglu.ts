import type { Meaning } from '../interpreter.js';
import { geluErf } from './gelu.js';

const geglu: Meaning = ([x]) => {
  const c = x!.shape.at(-1)! / 2;
  return [
    Float64Array.from({ length: x!.data.length / 2 }, (_, i) => {
      const a = Math.floor(i / c) * 2 * c + (i % c);
      return x!.data[a]! * geluErf.value(x!.data[a + c]!);
    }),
  ];
};

const gegluVjp: Meaning = ([x, dy]) => {
  const c = x!.shape.at(-1)! / 2;
  const dx = new Float64Array(x!.data.length);
  dy!.data.forEach((g, i) => {
    const a = Math.floor(i / c) * 2 * c + (i % c);
    dx[a] = g * geluErf.value(x!.data[a + c]!);
    dx[a + c] = g * x!.data[a]! * geluErf.slope(x!.data[a + c]!);
  });
  return [dx];
};

export const meanings: Record<string, Meaning> = { geglu, gegluVjp };
