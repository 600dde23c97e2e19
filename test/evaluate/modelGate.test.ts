import { describe, expect, it } from 'vitest';
import { gatePrompts, MODEL_GATES, missedModelGates } from '../../lib/evaluate/modelGate.js';
import { isHeldOut } from '../../lib/world/heldOut.js';
import { readCaption } from '../../lib/world/readCaption.js';

describe('gatePrompts', () => {
  const prompts = gatePrompts(60);

  it('ask, truly, for pairs that never met in pretraining', () => {
    for (const { text, record, asked } of prompts) {
      expect(isHeldOut(asked), text).toBe(true);
      for (const [name, value] of Object.entries(asked)) expect(record[name as keyof typeof record]).toBe(value);
      expect(readCaption(text)).toMatchObject(asked);
      expect(asked.shape === undefined || asked.superClass === undefined).toBe(true);
    }
  });

  it('are the same every time, and many different ones', () => {
    expect(gatePrompts(5)).toEqual(prompts.slice(0, 5));
    expect(new Set(prompts.map(({ text }) => text)).size).toBeGreaterThan(55);
  });
});

it('missedModelGates names what falls short', () => {
  const shares = (all: number) => ({ all, each: {} });
  const { model, renders } = MODEL_GATES;
  expect(missedModelGates({ model: shares(model), renders: shares(renders) })).toEqual([]);
  expect(missedModelGates({ model: shares(0.5), renders: shares(0.9) })).toEqual([
    'pictures: expected at least 0.85 of requested attributes, found 0.500',
    'renders: expected at least 0.97 of requested attributes, found 0.900',
  ]);
});
