import { join } from 'node:path';
import { promptedBy } from '../evaluate/conceptReference.js';
import type { PromptedPicture } from '../evaluate/figures.js';
import { generate } from '../generate/generate.js';
import { loadPhoto, pixelsToSigned } from '../io/image.js';
import { type EmbeddedPicture, embedPicture } from '../io/pictureUri.js';
import { SIDE } from '../world/canvas.js';
import { fillPrompt, type Prompt } from '../world/prompts.js';

/** What makes pictures: the model alone, or with an adapter. */
export interface PictureSide {
  readonly name: string;
  /** Of its pictures. */
  readonly folder: string;
  /** Absent: the model alone, of the class noun. */
  readonly adapter?: string;
}

/** Pictures of one side, one for each prompt. */
export interface SidePictures {
  readonly side: PictureSide;
  readonly judged: readonly PromptedPicture[];
  readonly embedded: readonly EmbeddedPicture[];
  readonly ms: number;
}

export interface PictureSettings {
  readonly model: string;
  readonly className: string;
  readonly prompts: readonly Prompt[];
  /** Of the noise: prompt i uses seed + i, on every side. */
  readonly seed: number;
  readonly samplerSteps: number;
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Folder of all pictures. */
  readonly dir: string;
  readonly onPicture: () => void;
}

/** Makes the pictures of a side; they lie in its folder. */
export async function sidePictures(side: PictureSide, settings: PictureSettings): Promise<SidePictures> {
  const { model, className, prompts, seed, samplerSteps: steps, threads, signal, dir, onPicture } = settings;
  const begun = performance.now();
  const judged: PromptedPicture[] = [];
  const embedded: EmbeddedPicture[] = [];
  for (const [i, prompt] of prompts.entries()) {
    const { pictures } = await generate({
      ...{ model, steps, threads, signal, size: SIDE, seed: seed + i },
      ...(side.adapter === undefined ? {} : { adapter: side.adapter }),
      prompt: side.adapter === undefined ? fillPrompt(prompt.template, className) : prompt.template,
      outputDir: join(dir, side.folder),
    });
    const { path } = pictures[0]!;
    const { pixels } = await loadPhoto(path, SIDE);
    judged.push(promptedBy(prompt, className, pixelsToSigned(pixels)));
    embedded.push(await embedPicture(path));
    onPicture();
  }
  return { side, judged, embedded, ms: performance.now() - begun };
}
