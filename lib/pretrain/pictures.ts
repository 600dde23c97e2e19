import { pixelsToSigned } from '../io/image.js';

/** One picture to learn from. */
export interface LearnedPicture {
  /** RGB [side, side, 3]; may be overwritten when the next picture is drawn. */
  readonly pixels: Uint8Array;
  /** How much of each pixel is the subject, 0…255, [side, side]; as short-lived as `pixels`. */
  readonly alpha: Uint8Array;
  /** One of its captions, by number: the same number gives the same words. */
  caption(draw: number): string;
}

/** The stream of pictures: a pure function of the index from 0. */
export type PictureSource = (index: number) => LearnedPicture;

/** Pictures one after the other as graphs read them, [n, side, side, 3] in −1…1, and `captions` captions of each. */
export interface PictureBatch {
  readonly image: Float32Array;
  /** How much of each value is the subject, 0…1, the shape of `image`. */
  readonly subject: Float32Array;
  /** Those of the first picture first. */
  readonly captions: readonly string[];
}

/** Pictures `first`, `first` + 1, … of a stream. */
export function pictureBatch(source: PictureSource, first: number, n: number, captions: number): PictureBatch {
  const drawn = Array.from({ length: n }, (_, i) => {
    const picture = source(first + i);
    return {
      image: pixelsToSigned(picture.pixels),
      alpha: picture.alpha.slice(),
      captions: Array.from({ length: captions }, (_c, draw) => picture.caption(draw)),
    };
  });
  const size = drawn[0]?.image.length ?? 0;
  const [image, subject] = [new Float32Array(n * size), new Float32Array(n * size)];
  drawn.forEach((picture, i) => {
    image.set(picture.image, i * size);
    const channels = size / picture.alpha.length;
    for (let at = 0; at < size; at++) subject[i * size + at] = picture.alpha[Math.floor(at / channels)]! / 255;
  });
  return { image, subject, captions: drawn.flatMap((picture) => picture.captions) };
}
