/** Creatures among the shape classes. */
export const creatures = [
  'cat',
  'dog',
  'rabbit',
  'bear',
  'bird',
  'owl',
  'fish',
  'frog',
  'turtle',
  'butterfly',
  'snail',
  'octopus',
] as const;

/** Objects among the shape classes. */
export const objects = [
  'house',
  'car',
  'boat',
  'rocket',
  'mug',
  'umbrella',
  'flower',
  'mushroom',
  'cactus',
  'star',
  'heart',
  'apple',
] as const;

export const superClasses = ['creature', 'object'] as const;
export const colours = ['red', 'orange', 'yellow', 'green', 'teal', 'blue', 'purple', 'pink', 'brown', 'grey'] as const;
export const backgrounds = [
  'plain',
  'gradient',
  'checker',
  'brick',
  'grass',
  'forest',
  'sea',
  'desert',
  'snow',
  'night',
] as const;
/** Row and column of a 3×3 grid, in reading order. */
export const positions = [
  'top-left',
  'top',
  'top-right',
  'left',
  'centre',
  'right',
  'bottom-left',
  'bottom',
  'bottom-right',
] as const;
export const sizes = ['small', 'medium', 'large'] as const;
export const styles = ['flat', 'outline', 'dither', 'sketch', 'inverted'] as const;
export const accessories = ['none', 'hat', 'bow', 'frame', 'halo', 'scarf'] as const;

export type Creature = (typeof creatures)[number];
export type ObjectShape = (typeof objects)[number];
export type Shape = Creature | ObjectShape;
export type SuperClass = (typeof superClasses)[number];
export type Colour = (typeof colours)[number];
export type Background = (typeof backgrounds)[number];
export type Position = (typeof positions)[number];
export type Size = (typeof sizes)[number];
export type Style = (typeof styles)[number];
export type Accessory = (typeof accessories)[number];

/** All 24 shape classes, creatures first. */
export const shapes: readonly Shape[] = [...creatures, ...objects];

/** Everything about a picture but its subject. */
export interface Scene {
  readonly background: Background;
  readonly position: Position;
  readonly size: Size;
  readonly style: Style;
  readonly accessory: Accessory;
  /** Fixes all that has no name: texture, hue, tilt and proportions within a class. An integer from 0 to 2⁵³ − 1. */
  readonly seed: number;
}

/** All attributes of a picture of a shape class. */
export interface AttributeRecord extends Scene {
  readonly shape: Shape;
  readonly superClass: SuperClass;
  readonly colour: Colour;
}

export type Attribute = 'superClass' | 'shape' | 'colour' | 'background' | 'position' | 'size' | 'style' | 'accessory';

/** Attributes that captions can state and evaluators can check, and their values in order. */
export const attributeValues: { readonly [A in Attribute]: readonly AttributeRecord[A][] } = {
  superClass: superClasses,
  shape: shapes,
  colour: colours,
  background: backgrounds,
  position: positions,
  size: sizes,
  style: styles,
  accessory: accessories,
};

/** Some attributes with their values. */
export type Attributes = Partial<Pick<AttributeRecord, Attribute>>;

/** The super-class of a shape class. */
export function superClassOf(shape: Shape): SuperClass {
  return (creatures as readonly Shape[]).includes(shape) ? 'creature' : 'object';
}
