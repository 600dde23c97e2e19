import type {
  Accessory,
  AttributeRecord,
  Attributes,
  Background,
  Colour,
  Position,
  Size,
  Style,
} from './attributes.js';
import { sampleRecord } from './sample.js';

export type PromptKind = 'appearance' | 'accessory' | 'style' | 'background' | 'position' | 'size' | 'complex' | 'base';

/** A prompt with a gap for the subject, and what a picture of it must show. */
export interface Prompt {
  readonly kind: PromptKind;
  /** `{0}` stands for the subject: a rare token and a noun, or a noun. */
  readonly template: string;
  /** What was asked for; nothing for the base prompt. */
  readonly attributes: Attributes;
}

const colour = (value: Colour, template: string): Prompt => ({
  kind: 'appearance',
  template,
  attributes: { colour: value },
});
const accessory = (value: Accessory, template: string): Prompt => ({
  kind: 'accessory',
  template,
  attributes: { accessory: value },
});
const style = (value: Style, template: string): Prompt => ({ kind: 'style', template, attributes: { style: value } });
const background = (value: Background, template: string): Prompt => ({
  kind: 'background',
  template,
  attributes: { background: value },
});
const position = (value: Position, template: string): Prompt => ({
  kind: 'position',
  template,
  attributes: { position: value },
});
const size = (value: Size, template: string): Prompt => ({ kind: 'size', template, attributes: { size: value } });
const complex = (attributes: Attributes, template: string): Prompt => ({ kind: 'complex', template, attributes });

const suite: readonly Prompt[] = [
  colour('red', 'a red {0}'),
  colour('yellow', 'a yellow {0}'),
  colour('green', 'a green {0}'),
  colour('blue', 'a blue {0}'),
  colour('purple', 'a purple {0}'),
  accessory('hat', 'a {0} wearing a hat'),
  accessory('scarf', 'a {0} with a scarf'),
  accessory('halo', 'a {0} with a halo'),
  style('sketch', 'a pencil drawing of a {0}'),
  style('outline', 'an outline picture of a {0}'),
  background('grass', 'a {0} in a meadow'),
  background('forest', 'a {0} in a forest'),
  background('sea', 'a {0} at the sea'),
  background('snow', 'a {0} in the snow'),
  background('night', 'a {0} at night'),
  background('brick', 'a {0} in front of a brick wall'),
  position('top-left', 'a {0} in the top left corner'),
  position('top-right', 'a {0} in the upper right'),
  position('left', 'a {0} on the left side'),
  position('centre', 'a {0} in the middle'),
  position('right', 'a {0} on the right'),
  position('bottom-left', 'a {0} in the lower left'),
  position('bottom', 'a {0} at the bottom'),
  size('small', 'a small {0}'),
  size('large', 'a large {0}'),
  complex({ colour: 'red', accessory: 'hat', background: 'snow' }, 'a red {0} with a hat in the snow'),
  complex(
    { size: 'small', position: 'bottom-right', background: 'desert' },
    'a small {0} in the bottom right in the desert',
  ),
  complex(
    { style: 'dither', accessory: 'bow', background: 'sea' },
    'a dithered picture of a {0} with a bow at the sea',
  ),
  complex({ size: 'large', colour: 'teal', background: 'checker' }, 'a large teal {0} on a checkerboard'),
  complex(
    { style: 'inverted', position: 'left', background: 'forest' },
    'an inverted image of a {0} on the left in the woods',
  ),
  complex({ accessory: 'frame', position: 'top', size: 'small' }, 'a small {0} in a frame at the top'),
  { kind: 'base', template: 'a {0}', attributes: {} },
];

/** The prompts of every comparison: 25 that ask for one thing, 6 that ask for three, and the base prompt, last. */
export function promptSuite(): readonly Prompt[] {
  return suite;
}

/** The template with the subject in its gap. */
export function fillPrompt(template: string, subject: string): string {
  const filled = template.replace('{0}', subject);
  return filled.replace(/\ba (?=[aeiou])/g, 'an ');
}

/** A record that shows what a prompt asks for; the rest is drawn from the seed. For oracle pictures. */
export function recordFor(attributes: Attributes, seed: number): AttributeRecord {
  return sampleRecord(seed, { fixed: attributes });
}
