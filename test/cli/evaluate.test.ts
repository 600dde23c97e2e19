import { expect, it } from 'vitest';
import type { EvaluateRunOptions, RunEvaluation } from '../../lib/evaluate/evaluateRun.js';
import type { Figures } from '../../lib/evaluate/figures.js';
import { tlora } from './recorder.js';

const figures: Figures = {
  pictures: 32,
  fidelity: 0.5,
  fidelityAll: 0.25,
  identified: null,
  textSimilarity: 0.5,
  alignment: 0.75,
  leakBackground: 0.125,
  leakPosition: 0,
  copies: { nearest: 12, share: null, limit: null },
  copiesMasked: null,
  diversity: null,
};
const evaluation: RunEvaluation = {
  concept: null,
  pictures: figures,
  oracle: null,
  floor: null,
  pasted: figures,
  leak: null,
};

function evaluate(...args: string[]) {
  let given: EvaluateRunOptions | undefined;
  const evaluateRun = async (options: EvaluateRunOptions): Promise<RunEvaluation> => {
    given = options;
    for (let done = 1; done <= 64; done++) options.onProgress?.(done, 64);
    return evaluation;
  };
  const parts = { evaluate: async () => ({ evaluateRun }) };
  return tlora(['evaluate', ...args], { parts }).then((recorded) => ({ ...recorded, given }));
}

it('tlora evaluate passes its flags on and prints a table', async () => {
  const { out, err, status, given } = await evaluate('--run', 'runs/a', '--count', '3', '--seed', '7', '--best');
  expect(given).toMatchObject({ run: 'runs/a', count: 3, seed: 7, best: true });
  expect(out.split('\n')[0]).toMatch(/^ +fidelity +in scenes/);
  expect(out.split('\n')[1]).toMatch(/^pictures +0\.500 +0\.250 +– +0\.750/);
  expect(err).toContain('pictures for 64 of 64 prompts');
  expect(err).toContain('none of the mini world');
  expect(status).toBe(0);
});

it('tlora evaluate prints JSON, and nothing else with --quiet', async () => {
  const { out, err } = await evaluate('--run', 'runs/a', '--json', '--quiet');
  expect(JSON.parse(out)).toEqual(evaluation);
  expect(err).toBe('');
});

it('tlora evaluate wants a run', async () => {
  expect(await evaluate()).toMatchObject({ status: 2, given: undefined });
});
