import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  CONCEPTS,
  concept,
  conceptReferenceViews,
  conceptTrainingView,
  developmentConcepts,
  evaluationConcepts,
} from '../../lib/world/concepts.js';
import { fillPrompt, promptSuite, recordFor } from '../../lib/world/prompts.js';
import { readCaption } from '../../lib/world/readCaption.js';
import { renderSprite, type SpriteScene } from '../../lib/world/render.js';
import { type Sprite, sprite } from '../../lib/world/sprites.js';

const all = Array.from({ length: CONCEPTS }, (_, index) => index);
const scene: SpriteScene = {
  background: 'plain',
  position: 'centre',
  size: 'large',
  style: 'flat',
  accessory: 'none',
  seed: 4,
};
const looks = (one: Sprite): string => createHash('sha256').update(renderSprite(one, scene).pixels).digest('hex');

describe('concepts', () => {
  it('are 30: 13 creatures and 12 objects for tables, 3 and 2 for development', () => {
    const creatures = (list: readonly number[]): number =>
      list.filter((index) => concept(index).noun === 'creature').length;
    expect([evaluationConcepts.length, creatures(evaluationConcepts)]).toEqual([25, 13]);
    expect([developmentConcepts.length, creatures(developmentConcepts)]).toEqual([5, 3]);
    expect([...evaluationConcepts, ...developmentConcepts]).toEqual(all);
    expect(() => concept(30)).toThrow('from 0 to 29');
  });

  it('differ from each other and from 2,000 training sprites in design and in looks', () => {
    const design = (one: Sprite): string => JSON.stringify([one.design.parts, one.paints]);
    const designs = new Set(all.map((index) => design(concept(index))));
    for (let seed = 0; seed < 2000; seed++) designs.add(design(sprite(seed)));
    expect(designs.size).toBe(CONCEPTS + 2000);
    const pictures = all.map((index) => looks(concept(index)));
    const others = Array.from({ length: 60 }, (_, seed) => looks(sprite(seed)));
    expect(new Set([...pictures, ...others]).size).toBe(CONCEPTS + 60);
  });

  it('keep their picture to train on', () => {
    const hash = createHash('sha256');
    for (const index of all) {
      const { scene: own, picture } = conceptTrainingView(index);
      hash.update(picture.pixels).update(picture.alpha);
      expect(own).toMatchObject({ style: 'flat', accessory: 'none' });
    }
    expect(hash.digest('hex').slice(0, 16)).toBe('57869fb0f7576178');
  });

  it('are seen elsewhere in reference views', () => {
    const own = conceptTrainingView(7).scene;
    const views = conceptReferenceViews(7, 64);
    expect(views).toHaveLength(64);
    expect(
      views.filter((view) => view.scene.background === own.background || view.scene.position === own.position),
    ).toEqual([]);
    expect(new Set(views.map((view) => view.scene.background)).size).toBe(9);
    expect(conceptReferenceViews(7, 3)).toEqual(views.slice(0, 3));
  });

  it('take on a named colour, a style and an accessory', () => {
    const plain = renderSprite(concept(3), scene).pixels;
    for (const change of [
      { colour: 'green' },
      { style: 'sketch' },
      { accessory: 'hat' },
      { background: 'sea' },
      { size: 'small' },
    ] as const)
      expect(renderSprite(concept(3), { ...scene, ...change }).pixels).not.toEqual(plain);
    expect(() => renderSprite(concept(3), { ...scene, colour: 'mauve' as 'red' })).toThrow('colour');
  });
});

describe('promptSuite', () => {
  const prompts = promptSuite();
  const count = (...kinds: string[]): number => prompts.filter(({ kind }) => kinds.includes(kind)).length;

  it('asks for 5 appearances, 5 accessories or styles, 6 backgrounds, 9 positions or sizes, 6 complex and 1 base', () => {
    expect([
      count('appearance'),
      count('accessory', 'style'),
      count('background'),
      count('position', 'size'),
      count('complex'),
      count('base'),
    ]).toEqual([5, 5, 6, 9, 6, 1]);
  });

  it('states exactly the attributes that it lists', () => {
    for (const { kind, template, attributes } of prompts) {
      expect(template.split('{0}')).toHaveLength(2);
      expect(readCaption(template.replace('{0}', ''))).toEqual(attributes);
      expect(Object.keys(attributes)).toHaveLength(kind === 'complex' ? 3 : kind === 'base' ? 0 : 1);
      expect(recordFor(attributes, 5)).toMatchObject(attributes);
    }
  });

  it('fills the gap with the right article', () => {
    expect(fillPrompt('a {0} at night', 'owl')).toBe('an owl at night');
    expect(fillPrompt('a red {0}', 'v1 creature')).toBe('a red v1 creature');
  });
});
