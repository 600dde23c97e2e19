/** A caption and what it states: the names of attributes and their values. */
export interface StatedCaption {
  readonly text: string;
  readonly stated: Readonly<Record<string, string>>;
}

/** The stream of captions that a text encoder learns to read: a pure function of the index from 0. */
export interface CaptionSource {
  /** All values of each attribute. */
  readonly values: Readonly<Record<string, readonly string[]>>;
  readonly draw: (index: number) => StatedCaption;
}
