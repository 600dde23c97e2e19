import type { Meaning, Tensor64 } from '../interpreter.js';

type Optional = Tensor64 | null | undefined;

/** One branch as the method states it: up [out, r], down [r, in], diagonal [r] or null for ones. */
interface Branch {
  up: Tensor64;
  down: Tensor64;
  diagonal: Optional;
}

function diagonalAt(branch: Branch, j: number): number {
  return branch.diagonal ? branch.diagonal.data[j]! : 1;
}

/** Calls body for every token row, with its sample's number of active components. */
function eachRow(x: Tensor64, r: number, activeRank: Tensor64, body: (row: number, active: number) => void): void {
  const [n, t] = x.shape as [number, number];
  for (let i = 0; i < n; i++) {
    const active = Math.max(0, Math.min(activeRank.data[i]!, r));
    for (let k = 0; k < t; k++) body(i * t + k, active);
  }
}

/** (down · x)_j of one row. */
function project(down: Tensor64, j: number, x: Tensor64, row: number): number {
  const width = down.shape[1]!;
  let sum = 0;
  for (let k = 0; k < width; k++) sum += down.data[j * width + k]! * x.data[row * width + k]!;
  return sum;
}

/** (upᵀ · dy)_j of one row. */
function projectBack(up: Tensor64, j: number, dy: Tensor64, row: number): number {
  const [out, r] = up.shape as [number, number];
  let sum = 0;
  for (let o = 0; o < out; o++) sum += up.data[o * r + j]! * dy.data[row * out + o]!;
  return sum;
}

const lowRank: Meaning = ([base, x, up, down, lambda, up0, down0, lambda0, activeRank], attrs) => {
  const y = base!.data.slice();
  const [out, r] = up!.shape as [number, number];
  const addBranch = (branch: Branch, sign: number): void =>
    eachRow(x!, r, activeRank!, (row, active) => {
      for (let j = 0; j < active; j++) {
        const h = sign * attrs.scale! * diagonalAt(branch, j) * project(branch.down, j, x!, row);
        for (let o = 0; o < out; o++) y[row * out + o]! += branch.up.data[o * r + j]! * h;
      }
    });
  addBranch({ up: up!, down: down!, diagonal: lambda }, 1);
  if (up0) addBranch({ up: up0, down: down0!, diagonal: lambda0 }, -1);
  return [y];
};

const lowRankVjp: Meaning = ([x, up, down, lambda, up0, down0, lambda0, activeRank, dy], attrs, outputs) => {
  const [out, r] = up!.shape as [number, number];
  const width = down!.shape[1]!;
  const dx = new Float64Array(x!.data.length);
  const dUp = new Float64Array(out * r);
  const dDown = new Float64Array(r * width);
  const dLambda = new Float64Array(r);
  const scale = attrs.scale!;
  const addToX = (branch: Branch, sign: number): void =>
    eachRow(x!, r, activeRank!, (row, active) => {
      for (let j = 0; j < active; j++) {
        const e = sign * scale * diagonalAt(branch, j) * projectBack(branch.up, j, dy!, row);
        for (let k = 0; k < width; k++) dx[row * width + k]! += e * branch.down.data[j * width + k]!;
      }
    });
  const trained: Branch = { up: up!, down: down!, diagonal: lambda };
  addToX(trained, 1);
  if (up0) addToX({ up: up0, down: down0!, diagonal: lambda0 }, -1);
  eachRow(x!, r, activeRank!, (row, active) => {
    for (let j = 0; j < active; j++) {
      const s = diagonalAt(trained, j);
      const h = project(down!, j, x!, row);
      const e = scale * projectBack(up!, j, dy!, row);
      dLambda[j]! += e * h;
      for (let o = 0; o < out; o++) dUp[o * r + j]! += scale * s * h * dy!.data[row * out + o]!;
      for (let k = 0; k < width; k++) dDown[j * width + k]! += s * e * x!.data[row * width + k]!;
    }
  });
  return [dx, dUp, dDown, dLambda].map((gradient, i) => (outputs[i] ? gradient : null));
};

export const meanings: Record<string, Meaning> = { lowRank, lowRankVjp };
