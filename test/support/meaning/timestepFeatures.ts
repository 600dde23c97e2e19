import type { Meaning } from '../interpreter.js';

const f32 = Math.fround;

const timestepFeatures: Meaning = ([t], attrs) => {
  const { dim, flipSinToCos, freqShift } = attrs as { dim: number; flipSinToCos: number; freqShift: number };
  const half = Math.floor(dim / 2);
  const y = new Float64Array(t!.data.length * dim);
  return [
    y.map((_, place) => {
      const column = place % dim;
      if (column >= 2 * half) return 0;
      const i = column % half;
      const exponent = f32(f32(f32(-Math.log(10000)) * i) / f32(half - freqShift));
      const angle = f32(f32(t!.data[Math.floor(place / dim)]!) * f32(Math.exp(exponent)));
      return column < half === (flipSinToCos !== 0) ? Math.cos(angle) : Math.sin(angle);
    }),
  ];
};

export const meanings: Record<string, Meaning> = { timestepFeatures };
