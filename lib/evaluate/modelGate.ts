// Whether a base model draws what it is asked for, also what never met in its pretraining.
import { pixelsToSigned } from '../io/image.js';
import { deriveSeed } from '../random/philox.js';
import type { Attribute, AttributeRecord, Attributes } from '../world/attributes.js';
import { caption } from '../world/caption.js';
import { isHeldOut } from '../world/heldOut.js';
import { readCaption } from '../world/readCaption.js';
import { render } from '../world/render.js';
import { sampleRecord } from '../world/sample.js';
import { ATTRIBUTES } from './network.js';
import type { PictureMaker } from './pictureMaker.js';
import { type Reader, seen } from './reader.js';

/** Least shares of requested attributes that are found. */
export const MODEL_GATES = { model: 0.85, renders: 0.97 } as const;
/** Prompts of the measurement. */
export const GATE_PROMPTS = 256;

/** Never a seed of training. */
const SEED = 2 ** 50 + 7;

export interface GatePrompt {
  readonly text: string;
  readonly record: AttributeRecord;
  /** What the text asks for; a held-out pair among it. */
  readonly asked: Attributes;
}

/** The first caption of a record that states a held-out pair of it. */
function heldOutCaption(record: AttributeRecord, seed: number): string {
  for (let attempt = 0; ; attempt++) {
    const text = caption(record, deriveSeed(seed, attempt), { rare: 0 });
    if (isHeldOut(readCaption(text))) return text;
  }
}

/** Captions that state attributes which never met in pretraining. A shape says its super-class, which is not asked for twice. */
export function gatePrompts(count: number = GATE_PROMPTS): GatePrompt[] {
  return Array.from({ length: count }, (_, i) => {
    const record = sampleRecord(deriveSeed(SEED, i), { heldOut: true });
    const text = heldOutCaption(record, deriveSeed(SEED + 1, i));
    const { superClass, ...asked } = readCaption(text);
    return { text, record, asked: asked.shape === undefined && superClass ? { ...asked, superClass } : asked };
  });
}

/** Shares of requested attributes that are found. */
export interface GateShares {
  readonly all: number;
  readonly each: Readonly<Partial<Record<Attribute, number>>>;
}

async function sharesOf(
  reader: Reader,
  prompts: readonly GatePrompt[],
  pictures: readonly Float32Array[],
): Promise<GateShares> {
  const readings = await reader.read(pictures);
  const found = (attribute: Attribute): boolean[] =>
    prompts.flatMap(({ asked }, i) =>
      asked[attribute] === undefined ? [] : [seen(readings[i]!, attribute) === asked[attribute]],
    );
  const share = (answers: readonly boolean[]): number => answers.filter(Boolean).length / answers.length;
  const each = ATTRIBUTES.flatMap((attribute) => {
    const own = found(attribute);
    return own.length === 0 ? [] : [[attribute, share(own)] as const];
  });
  return { all: share(ATTRIBUTES.flatMap(found)), each: Object.fromEntries(each) };
}

export interface ModelFigures {
  /** Pictures of the model. */
  readonly model: GateShares;
  /** Renders of the same records: the most that the evaluators let through. */
  readonly renders: GateShares;
}

/** Measures a model on prompts with held-out pairs. */
export async function measureModel(
  maker: PictureMaker,
  reader: Reader,
  prompts: readonly GatePrompt[] = gatePrompts(),
): Promise<ModelFigures> {
  const pictures = await maker.make(
    prompts.map(({ text }, seed) => ({ text, seed })),
    null,
  );
  const renders = prompts.map(({ record }) => pixelsToSigned(render(record).pixels));
  return { model: await sharesOf(reader, prompts, pictures), renders: await sharesOf(reader, prompts, renders) };
}

/** What falls short, in words; empty if both gates are reached. */
export function missedModelGates({ model, renders }: ModelFigures): string[] {
  const missed = (name: string, share: number, least: number): string[] =>
    share >= least ? [] : [`${name}: expected at least ${least} of requested attributes, found ${share.toFixed(3)}`];
  return [...missed('pictures', model.all, MODEL_GATES.model), ...missed('renders', renders.all, MODEL_GATES.renders)];
}
