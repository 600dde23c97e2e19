import { deriveSeed } from '../random/philox.js';
import { type AttributeRecord, attributeValues } from '../world/attributes.js';
import { caption } from '../world/caption.js';
import { vocabulary } from '../world/lexicon.js';
import { readCaption } from '../world/readCaption.js';
import { newRender, render } from '../world/render.js';
import { sampleRecord } from '../world/sample.js';
import type { CaptionSource } from './captions.js';
import { CAPTION_TOKENS } from './miniModel.js';
import type { PictureSource } from './pictures.js';
import { type TokenizerFiles, tokenizerFiles } from './tokenizerFiles.js';

/** Record `index` of the stream of a seed, none with a held-out pair. */
export function worldRecord(seed: number, index: number): AttributeRecord {
  return sampleRecord(deriveSeed(seed, index), { heldOut: false });
}

/** The pictures of these records; caption `draw` of picture `index` draws from a seed of its own. */
export function worldPictures(seed: number): PictureSource {
  const out = newRender();
  return (index) => {
    const own = deriveSeed(seed, index);
    const record = worldRecord(seed, index);
    const { pixels, alpha } = render(record, out);
    return { pixels, alpha, caption: (draw) => caption(record, deriveSeed(own, draw + 1)) };
  };
}

/** Captions of records of their own, with what they state. */
export function worldCaptions(seed: number): CaptionSource {
  return {
    values: attributeValues,
    draw: (index) => {
      const text = caption(worldRecord(seed, index), deriveSeed(deriveSeed(seed, index), 1));
      return { text, stated: readCaption(text) };
    },
  };
}

/** The mini model's tokenizer: every word of the world's captions is one token. */
export function worldTokenizer(): TokenizerFiles {
  const words = vocabulary.flatMap((word) => word.match(/\p{L}+/gu) ?? []);
  return tokenizerFiles(words, CAPTION_TOKENS);
}

/** Prompts of the pictures that show how training goes. */
export const PREVIEW_PROMPTS: readonly string[] = [
  'a red cat in the snow',
  'a blue car on the left side',
  'a large green frog in a meadow',
  'a small purple owl at night',
  'a yellow star with a halo',
  'a pencil drawing of a brown bear',
  'a pink flower in front of a brick wall',
  'a teal fish at the sea with a hat',
  'an inverted image of a red rocket',
  'a grey rabbit wearing a scarf in a forest',
  'an orange mug on a checkerboard',
  'a dithered picture of a blue butterfly',
  'a cottage in the top right corner in the desert',
  'a big red heart in the middle',
  'a tiny turtle at the bottom',
  'a mushroom in a frame',
];
