import type { Meaning } from '../interpreter.js';

const mixPerSample: Meaning = ([x, y, a, b]) => {
  const perSample = x!.data.length / x!.shape[0]!;
  return [
    x!.data.map((v, i) => a!.data[Math.floor(i / perSample)]! * v + b!.data[Math.floor(i / perSample)]! * y!.data[i]!),
  ];
};

const mixPerSampleVjp: Meaning = ([a, b, grad]) => {
  const perSample = grad!.data.length / grad!.shape[0]!;
  return [a!, b!].map((factor) => grad!.data.map((g, i) => factor.data[Math.floor(i / perSample)]! * g));
};

export const meanings: Record<string, Meaning> = { mixPerSample, mixPerSampleVjp };
