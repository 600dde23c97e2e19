import { describe, expect, it } from 'vitest';
import { resolveGenerateOptions } from '../lib/generate/options.js';
import { editDistance, nearest } from '../lib/options/nearest.js';
import { fillPrompt, resolveTrainOptions, type TrainOptions } from '../lib/train/options.js';

const least: TrainOptions = { model: 'model', image: 'dog.jpg', className: 'dog' };

function refuses(more: object, message: string): void {
  expect(() => resolveTrainOptions({ ...least, ...more })).toThrow(message);
}

describe('train options', () => {
  it('have the paper’s defaults', () => {
    expect(resolveTrainOptions(least)).toMatchObject({
      images: ['dog.jpg'],
      token: 'sks',
      prompt: 'a photo of {0}',
      variant: 'tlora',
      rank: 64,
      minRank: 32,
      alpha: 1,
      steps: 800,
      learningRate: 1e-4,
      weightDecay: 1e-4,
      batch: 1,
      accumulate: 1,
      seed: 0,
    });
    expect(resolveTrainOptions({ ...least, variant: 'vanilla' })).toMatchObject({ steps: 500, minRank: 32 });
    expect(resolveTrainOptions({ ...least, variant: 'lora' })).toMatchObject({ steps: 500, minRank: 64 });
    expect(resolveTrainOptions({ ...least, rank: 5 }).minRank).toBe(2);
  });

  it('name what is wrong, what was expected and what was given', () => {
    refuses({ rank: 2.5 }, 'rank: expected a whole number of at least 1, got 2.5');
    refuses({ rank: -4 }, 'rank: expected a whole number of at least 1, got -4');
    refuses({ steps: 0 }, 'steps: expected a whole number of at least 1, got 0');
    refuses({ seed: -1 }, 'seed: expected a whole number of at least 0, got -1');
    refuses({ learningRate: 0 }, 'learningRate: expected a number above 0, got 0');
    refuses({ learningRate: Number.NaN }, 'learningRate: expected a number above 0, got NaN');
    refuses({ alpha: '1' }, "alpha: expected a number above 0, got '1'");
    refuses({ variant: 'dora' }, "variant: expected one of lora, vanilla, ortho, tlora, got 'dora'");
    refuses({ minRank: 65 }, 'minRank: expected at most the rank, 64, got 65');
    refuses({ variant: 'lora', minRank: 3 }, "minRank: expected none, as the variant 'lora' has no mask, got 3");
    refuses({ memory: 'lots' }, "memory: expected a size such as 9GB or 8.5GiB, got 'lots'");
    refuses({ images: ['a.jpg'] }, 'image: expected one of image and images, got both');
    refuses({ image: undefined }, 'image: expected one of image and images, got neither');
    refuses({ captions: ['a', 'b'] }, 'captions: expected one for each of 1 pictures, got 2');
    refuses({ prompt: 'a dog' }, "prompt: expected a text with {0}, which stands for token and class, got 'a dog'");
    refuses({ className: '' }, "className: expected a text that is not empty, got ''");
    refuses({ image: '' }, "image: expected a text that is not empty, got ''");
    refuses({ seed: 2 ** 53 }, 'seed: expected a whole number below 2⁵³, got 9007199254740992');
    refuses({ seed: -1 }, 'seed: expected a whole number of at least 0, got -1');
    refuses({ sample: { every: 0, prompts: ['x'] } }, 'sample.every: expected a whole number of at least 1, got 0');
  });

  it('are refused where they would have no effect', () => {
    refuses({ variant: 'ortho', alpha: 2 }, "alpha: expected none, as the variant 'ortho' has no mask, got 2");
    for (const [name, value] of Object.entries({
      start: 'weight',
      components: 'middle',
      frames: 'reference',
      orthogonal: 'retract',
      compact: true,
    }))
      for (const variant of ['lora', 'vanilla'])
        refuses(
          { variant, [name]: value },
          `${name}: expected none, as the variant '${variant}' has no orthogonal start, got ${value}`,
        );
    refuses({ start: 'weight', frames: 'reference' }, 'frames: expected none');
    refuses({ watch: { prompt: 'x' } }, "watch.prompt: expected none, as no pictures are watched, got 'x'");
    refuses({ resume: true, overwrite: true }, 'overwrite: expected false together with resume, got true');
    const usual = { minRank: 64, alpha: 1, components: 'last', compact: false, overwrite: true } as const;
    expect(resolveTrainOptions({ ...least, variant: 'lora', ...usual })).toMatchObject(usual);
  });

  it('give the right name for a misspelt one', () => {
    refuses({ learningrate: 1 }, "train: there is no option 'learningrate'\nDid you mean 'learningRate'?");
    refuses({ min_rank: 1 }, "Did you mean 'minRank'?");
    refuses({ zzzzzz: 1 }, 'Options: model, config, image');
  });

  it('name the class of what is no text', () => {
    refuses({ model: new URL('file:///model') }, 'model: expected a text, got a value of the class URL');
    refuses({ image: new ArrayBuffer(8) }, 'or the bytes of a picture, got a value of the class ArrayBuffer');
    refuses({ token: {} }, 'token: expected a text, got a value of the type object');
  });

  it('must be an object', () => {
    expect(() => resolveTrainOptions(undefined as never)).toThrow('options: expected object, got undefined');
  });

  it('fill prompts', () => {
    expect(fillPrompt('{0} and {0}', 'sks', 'dog')).toBe('sks dog and sks dog');
    expect(fillPrompt('a {0}!', '$&', '$$ bill')).toBe('a $& $$ bill!');
  });
});

describe('generate options', () => {
  it('have defaults', () => {
    expect(resolveGenerateOptions({ model: 'm', prompt: 'x', size: 64 })).toMatchObject({
      steps: 25,
      guidance: 5,
      count: 1,
      seed: 0,
      strength: 1,
      sampler: 'euler',
      size: { width: 64, height: 64 },
    });
  });

  it('refuse what makes no sense', () => {
    expect(() => resolveGenerateOptions({ model: 'm', prompt: 'x', count: 0 })).toThrow(
      'count: expected a whole number',
    );
    expect(() => resolveGenerateOptions({ model: 'm', prompt: 'x', guidance: 0.5 })).toThrow(
      'guidance: expected a number of at least 1',
    );
    expect(() => resolveGenerateOptions({ model: 'm', prompt: 'x', promt: 1 } as never)).toThrow(
      "Did you mean 'prompt'?",
    );
  });

  it('are refused where they would have no effect, or would fill the memory', () => {
    const refused = (more: object) => expect(() => resolveGenerateOptions({ model: 'm', prompt: 'x', ...more }));
    refused({ strength: 0.5 }).toThrow('strength: expected none, as there is no adapter, got 0.5');
    refused({ force: true }).toThrow('force: expected none, as there is no adapter, got true');
    refused({ guidance: 1, negativePrompt: 'y' }).toThrow("negativePrompt: expected none, as guidance is off, got 'y'");
    refused({ count: 1e10 }).toThrow('count: expected at most 100000, got 10000000000');
    expect(
      resolveGenerateOptions({ model: 'm', prompt: 'x', guidance: 1, negativePrompt: '', strength: 1 }),
    ).toBeTruthy();
    expect(resolveGenerateOptions({ model: 'm', prompt: 'x', adapter: 'a', strength: -1, force: true })).toBeTruthy();
  });
});

describe('nearest', () => {
  it('counts edits and swaps', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('rnak', 'rank')).toBe(1);
    expect(nearest('stpes', ['steps', 'seed'])).toBe('steps');
    expect(nearest('qqqq', ['steps', 'seed'])).toBeUndefined();
  });
});
