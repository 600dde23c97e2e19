import type { Scene } from '../world/attributes.js';
import { type Prompt, type PromptKind, promptSuite } from '../world/prompts.js';

/** What both sides of the demo share. */
export interface DemoSettings {
  readonly rank: number;
  readonly steps: number;
  readonly learningRates: { readonly lora: number; readonly tlora: number };
  /** Of training, its start and its draws; pictures use it too. */
  readonly seed: number;
  /** Pictures of each side, one for each prompt; at most 12. */
  readonly pictures: number;
  /** Steps of the sampler. */
  readonly samplerSteps: number;
}

export const DEMO_SETTINGS: DemoSettings = {
  rank: 16,
  steps: 400,
  learningRates: { lora: 1e-3, tlora: 2e-3 },
  seed: 1,
  pictures: 12,
  samplerSteps: 25,
};

/** A development concept: no table shows it. */
export const DEMO_CONCEPT = 25;

/** Kinds of prompts in the order in which they are taken. */
const KINDS: readonly PromptKind[] = [
  ...(['base', 'background', 'accessory', 'position', 'background', 'style'] as const),
  ...(['size', 'background', 'appearance', 'position', 'background', 'complex'] as const),
];

/** Most pictures of a side. */
export const MOST_PICTURES: number = KINDS.length;

/**
 * Prompts of the demo: of each kind, those that ask for something else than the training picture shows.
 * @param scene of the training picture, as far as it is known
 */
export function demoPrompts(count: number, scene: Partial<Scene>): Prompt[] {
  const shown = (name: string): unknown => (scene as Record<string, unknown>)[name];
  const left = promptSuite().filter(
    ({ attributes }) => !Object.entries(attributes).some(([name, value]) => shown(name) === value),
  );
  const taken = new Set<Prompt>();
  for (const kind of KINDS.slice(0, count)) {
    const next = left.find((prompt) => prompt.kind === kind && !taken.has(prompt));
    if (next) taken.add(next);
  }
  return [...taken];
}
