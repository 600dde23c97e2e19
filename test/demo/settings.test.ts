import { expect, it } from 'vitest';
import { DEMO_CONCEPT, DEMO_SETTINGS, demoPrompts, MOST_PICTURES } from '../../lib/demo/settings.js';
import { backgrounds, positions } from '../../lib/world/attributes.js';
import { conceptTrainingView, developmentConcepts } from '../../lib/world/concepts.js';

it('the demo keeps to the sizes that it promises, and to a concept of no table', () => {
  expect(DEMO_SETTINGS.steps).toBeLessThanOrEqual(400);
  expect(DEMO_SETTINGS.pictures).toBeLessThanOrEqual(12);
  expect(MOST_PICTURES).toBe(12);
  expect(developmentConcepts).toContain(DEMO_CONCEPT);
});

it('demoPrompts asks for nothing that the training picture shows', () => {
  for (const background of backgrounds) {
    for (const position of positions) {
      const prompts = demoPrompts(12, { background, position, size: 'large', style: 'flat', accessory: 'none' });
      expect(new Set(prompts.map(({ template }) => template)).size).toBe(12);
      expect(prompts[0]!.kind).toBe('base');
      for (const { attributes } of prompts) {
        expect(attributes.background).not.toBe(background);
        expect(attributes.position).not.toBe(position);
      }
      expect(prompts.filter(({ attributes }) => attributes.background !== undefined).length).toBeGreaterThan(2);
    }
  }
  const { scene } = conceptTrainingView(DEMO_CONCEPT);
  expect(demoPrompts(3, scene)).toEqual(demoPrompts(12, scene).slice(0, 3));
});
