import { afterEach, describe, expect, it, vi } from 'vitest';
import { oneByOne, stepsPerTurn, takeTurns, turnCounts, turnOrder } from '../../bench/turns.js';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the steps of a turn', () => {
  it('take 0.3 s together, and are at least one', () => {
    expect([30, 200, 60_000].map(stepsPerTurn)).toEqual([10, 2, 1]);
  });

  it('are at most a hundred', () => {
    expect(stepsPerTurn(0.01)).toBe(100);
  });

  it('add up to all of them, the last turn being the shorter one', () => {
    expect(turnCounts(25, 10)).toEqual([10, 10, 5]);
    expect(turnCounts(4, 2)).toEqual([2, 2]);
    expect(turnCounts(3, 100)).toEqual([3]);
  });
});

describe('turnOrder', () => {
  it('changes who begins', () => {
    expect([0, 1, 2].map((round) => turnOrder(2, round))).toEqual([
      [0, 1],
      [1, 0],
      [0, 1],
    ]);
    expect(turnOrder(1, 1)).toEqual([0]);
  });
});

describe('takeTurns', () => {
  it('runs all rounds in turns and gives the steps of each program in order', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {});
    const order: string[] = [];
    const program = (name: string): ReturnType<typeof oneByOne> => {
      let done = 0;
      return oneByOne(async () => {
        order.push(name);
        return { ms: done++, cpuMs: 1 };
      });
    };
    const steps = await takeTurns([program('a'), program('b')], [2, 1]);
    expect(order).toEqual(['a', 'a', 'b', 'b', 'b', 'a']);
    expect(steps.map((all) => all.map(({ ms }) => ms))).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
    expect(told.mock.calls.flat()).toEqual([
      'round 1 of 2: tlora 1.00 ms, PyTorch 1.00 ms',
      'round 2 of 2: tlora 2.00 ms, PyTorch 2.00 ms',
    ]);
  });
});
