import { describe, expect, it } from 'vitest';
import { createGraph, input } from '../../lib/graph/graph.js';
import { recordStep } from '../../lib/ops/recordStep.js';
import { evaluate } from '../support/evaluate.js';

const { NaN: NAN, POSITIVE_INFINITY: INF } = Number;

/** `steps` after each of some [loss, norm], and the verdicts. */
function run(start: { scale: number; rows: number; growth: number; losses?: number[] }, given: [number, number][]) {
  let steps = [
    0,
    1 / start.scale,
    start.scale,
    0,
    0,
    0,
    0,
    0,
    ...Array<number>((4 + (start.losses?.length ?? 0)) * start.rows).fill(0),
  ];
  const verdicts = given.map(([loss, norm]) => {
    const values = {
      steps: { shape: [steps.length], values: steps },
      loss: { shape: [1], values: [loss] },
      norm: { shape: [1], values: [norm] },
      ...(start.losses && { losses: { shape: [start.losses.length], values: start.losses } }),
    };
    const outputs = evaluate(
      values,
      (v) =>
        recordStep(
          { steps: v.steps!, loss: v.loss!, norm: v.norm!, losses: v.losses ?? null },
          { growthInterval: start.growth },
        ).node!.outputs as never,
    );
    steps = outputs[0]!;
    return outputs[1]![0]!;
  });
  return { header: steps.slice(1, 6), applied: steps[6]!, rows: steps.slice(8), verdicts };
}

describe('recordStep', () => {
  it('writes down finite steps, up to its rows', () => {
    const { header, rows, verdicts } = run({ scale: 1, rows: 2, growth: 0 }, [
      [0.5, 2],
      [0.25, 3],
      [0.125, 4],
    ]);
    expect(rows).toEqual([0.5, 2, 1, 0, 0.25, 3, 1, 0]);
    expect(verdicts).toEqual([0, 0, 0]);
    expect(header).toEqual([1, 1, 3, 0, 2]);
  });

  it('fails all steps from the first that is not finite on, where the scale is fixed', () => {
    const { header, rows, verdicts } = run({ scale: 1, rows: 3, growth: 0 }, [
      [0.5, 2],
      [0.25, INF],
      [0.125, 4],
    ]);
    expect(verdicts).toEqual([0, NAN, NAN]);
    expect(rows).toEqual([0.5, 2, 1, 0, 0.25, INF, 1, 1, 0.125, 4, 1, 1]);
    expect(header[3]).toBeNaN();
  });

  it('halves the scale and goes on where a norm is not finite, and doubles it after enough finite steps', () => {
    const { header, applied, rows, verdicts } = run({ scale: 4, rows: 5, growth: 2 }, [
      [1, INF],
      [1, 1],
      [1, 1],
      [1, 1],
      [1, NAN],
    ]);
    expect(verdicts).toEqual([NAN, 0, 0, 0, NAN]);
    expect([2, 6, 10, 14, 18].map((i) => rows[i])).toEqual([4, 2, 2, 4, 4]);
    expect(header).toEqual([1 / 2, 2, 0, 0, 5]);
    expect(applied).toBe(3);
  });

  it('fails where no smaller scale would help', () => {
    expect(run({ scale: 1, rows: 1, growth: 5 }, [[1, INF]]).header[3]).toBeNaN();
    expect(run({ scale: 8, rows: 1, growth: 5 }, [[NAN, 1]]).header[3]).toBeNaN();
  });

  it('writes down the losses of the samples', () => {
    const { rows } = run({ scale: 1, rows: 2, growth: 0, losses: [3, 5] }, [
      [4, 1],
      [4, 2],
    ]);
    expect(rows).toEqual([4, 1, 1, 0, 3, 5, 4, 2, 1, 0, 3, 5]);
  });

  it('lets the scale grow to 2^24', () => {
    expect(
      run({ scale: 2 ** 23, rows: 1, growth: 1 }, [
        [1, 1],
        [1, 1],
      ]).header[1],
    ).toBe(2 ** 24);
  });

  it('refuses a buffer of another form', () => {
    const graph = createGraph();
    const one = input(graph, 'one', [1]);
    const message = '[recordStep] shape of steps: expected [8 + rows · 4], got [10]';
    expect(() =>
      recordStep({ steps: input(graph, 's', [10]), loss: one, norm: one, losses: null }, { growthInterval: 0 }),
    ).toThrow(message);
  });
});
