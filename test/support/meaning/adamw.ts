import type { Meaning } from '../interpreter.js';

const adamw: Meaning = ([params, grads, m, v, hyper, loss, norm, applied]) => {
  if (!Number.isFinite(loss!.data[0]) || !Number.isFinite(norm!.data[0])) return [params!.data, m!.data, v!.data];
  const [lr, beta1, beta2, eps, weightDecay, given1, given2, maxNorm] = hyper!.data as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const correction = (beta: number, given: number): number => (applied ? 1 - beta ** applied.data[0]! : given);
  const [correction1, correction2] = [correction(beta1, given1), correction(beta2, given2)];
  const clip = maxNorm > 0 ? Math.min(1, maxNorm / (norm!.data[0]! + 1e-6)) : 1;
  const g = grads!.data.map((value) => value * clip);
  const newM = m!.data.map((value, i) => beta1 * value + (1 - beta1) * g[i]!);
  const newV = v!.data.map((value, i) => beta2 * value + (1 - beta2) * g[i]! ** 2);
  const newP = params!.data.map((p, i) => {
    const denominator = Math.sqrt(newV[i]!) / Math.sqrt(correction2) + eps;
    return p * (1 - lr * weightDecay) - ((lr / correction1) * newM[i]!) / denominator;
  });
  return [newP, newM, newV];
};

export const meanings: Record<string, Meaning> = { adamw };
