import type { ModelFiles } from '../io/modelFolder.js';
import { type Conditions, prepareConditions, type TimeIds } from '../pipeline/conditions.js';
import type { Session } from '../pipeline/session.js';
import { encodePrompts, joinStates, type TextAdapters, type TextStates, zeroStates } from '../pipeline/textStates.js';

export interface PictureWish {
  readonly prompt: string;
  readonly negativePrompt?: string | undefined;
  /** 1: no guidance, no negative prompt. */
  readonly guidance: number;
  /** Of the picture, in pixels. */
  readonly width: number;
  readonly height: number;
}

export interface GenerationConditions {
  /** Two rows, negative first; one without guidance. */
  readonly conditions: Conditions;
  readonly contextTokens: number;
  /** Ends of prompts that were too long. */
  readonly truncated: readonly string[];
}

async function textStates(
  session: Session,
  model: ModelFiles,
  wish: PictureWish,
  adapters?: TextAdapters,
): Promise<TextStates> {
  const { prompt, negativePrompt, guidance } = wish;
  if (guidance === 1) return encodePrompts(session, model, [prompt], adapters);
  const isZeroed = model.zerosForEmptyPrompt && (negativePrompt ?? '') === '';
  if (!isZeroed) return encodePrompts(session, model, [negativePrompt ?? '', prompt], adapters);
  const text = await encodePrompts(session, model, [prompt], adapters);
  return joinStates(zeroStates(text), text);
}

/** Encodes the prompts and computes all that the UNet reads of them; frees the weights that it used. */
export async function generationConditions(
  session: Session,
  model: ModelFiles,
  wish: PictureWish,
  adapters?: TextAdapters,
): Promise<GenerationConditions> {
  const text = await textStates(session, model, wish, adapters);
  const { height, width } = wish;
  const timeIds: TimeIds = [height, width, 0, 0, height, width];
  const conditions = await prepareConditions(session, model, text, Array<TimeIds>(text.n).fill(timeIds));
  return { conditions, contextTokens: text.tokens, truncated: text.truncated };
}
