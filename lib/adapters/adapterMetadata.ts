// The `tlora.*` metadata of an adapter file: text to checked values and back.
import { FileFormatError } from '../errors.js';
import { type AdapterSpec, type AdapterStart, type AdapterVariant, DEFAULT_START } from './adapterSpec.js';
import { type RankSchedule, validateRankSchedule } from './rankSchedule.js';

/** What an adapter file says of itself. */
export interface AdapterInfo {
  readonly spec: AdapterSpec;
  readonly schedule: RankSchedule;
  /** Of the start's draws. */
  readonly seed: number;
  readonly token: string;
  readonly className: string;
  /** With `{0}` for "token class". */
  readonly prompt: string;
  /** Of the base model (fingerprint.ts). */
  readonly baseFingerprint: string;
  /** Steps, learning rate, resolution, …: kept as they were given. */
  readonly training: Readonly<Record<string, unknown>>;
}

/** How the start is kept: in the file, or as the name and version of what draws it from the seed. */
export interface StartRecord {
  readonly stored: boolean;
  readonly generator: string;
  readonly version: number;
}

export const FORMAT_VERSION = '1';

type Metadata = Readonly<Record<string, string>>;

/** Metadata of a file, all text: JSON where the value has parts. */
export function encodeMetadata(info: AdapterInfo, start: StartRecord | null): Record<string, string> {
  const { spec, schedule, seed, token, className, prompt, training } = info;
  return {
    format: 'pt',
    'tlora.format_version': FORMAT_VERSION,
    'tlora.variant': spec.variant,
    'tlora.rank': String(spec.rank),
    'tlora.schedule': JSON.stringify(schedule),
    ...(start && { 'tlora.start': JSON.stringify({ ...spec.start, ...start }) }),
    'tlora.orthogonal': spec.orthogonal,
    'tlora.seed': String(seed),
    'tlora.token': token,
    'tlora.class': className,
    'tlora.prompt': prompt,
    'tlora.training': JSON.stringify(training),
    'tlora.base_fingerprint': info.baseFingerprint,
  };
}

/** Reads the metadata of the file at `path`. @throws FileFormatError naming the field that is absent or wrong. */
export function decodeMetadata(path: string, metadata: Metadata): { info: AdapterInfo; start: StartRecord | null } {
  const fields = fieldsOf(path, metadata);
  const version = fields.text('format_version');
  if (version !== FORMAT_VERSION) {
    throw new FileFormatError(`[adapter] ${path}: format version: expected ${FORMAT_VERSION}, got ${version}`, {
      hint: 'The file was written by a newer version of tlora: install that version.',
    });
  }
  const variant = fields.oneOf<AdapterVariant>('variant', ['lora', 'vanilla', 'ortho', 'tlora']);
  const plain = variant === 'lora' || variant === 'vanilla';
  const start = plain ? null : fields.json('start');
  const rank = fields.count('rank', fields.text('rank'), 1);
  const info: AdapterInfo = {
    spec: {
      variant,
      rank,
      start: start ? startOf(fields, start) : DEFAULT_START,
      orthogonal: fields.oneOf('orthogonal', ['init', 'retract']),
    },
    schedule: scheduleOf(fields, rank),
    seed: fields.count('seed', fields.text('seed'), 0),
    token: fields.text('token'),
    className: fields.text('class'),
    prompt: fields.text('prompt'),
    baseFingerprint: fields.text('base_fingerprint'),
    training: fields.json('training'),
  };
  return { info, start: start && startRecord(fields, start) };
}

interface Fields {
  text(name: string): string;
  json(name: string): Record<string, unknown>;
  count(name: string, value: unknown, least: number): number;
  oneOf<T extends string>(name: string, allowed: readonly T[]): T;
  wrong(name: string, expected: string, got: unknown): FileFormatError;
}

function fieldsOf(path: string, metadata: Metadata): Fields {
  const wrong = (name: string, expected: string, got: unknown): FileFormatError =>
    new FileFormatError(
      `[adapter] ${path}: metadata tlora.${name}: expected ${expected}, got ${JSON.stringify(got) ?? 'nothing'}`,
      { hint: 'The file is damaged, or was changed after it was saved.' },
    );
  const text = (name: string): string => {
    const value = metadata[`tlora.${name}`];
    if (value === undefined) throw wrong(name, 'a text', undefined);
    return value;
  };
  return {
    wrong,
    text,
    json: (name) => {
      const value = parsed(text(name));
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw wrong(name, 'a JSON object', text(name));
      }
      return value as Record<string, unknown>;
    },
    count: (name, value, least) => {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
      if (!Number.isSafeInteger(number) || (number as number) < least) {
        throw wrong(name, `a whole number from ${least} up`, value);
      }
      return number as number;
    },
    oneOf: (name, allowed) => {
      const value = allowed.find((one) => one === text(name));
      if (value === undefined) throw wrong(name, `one of ${allowed.join(', ')}`, text(name));
      return value;
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function choice<T extends string>(fields: Fields, name: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw fields.wrong(name, `one of ${allowed.join(', ')}`, value);
  return found;
}

function scheduleOf(fields: Fields, rank: number): RankSchedule {
  const { T, maxRank, minRank, alpha } = fields.json('schedule');
  const schedule = { T, maxRank, minRank, alpha } as RankSchedule;
  try {
    validateRankSchedule(schedule);
  } catch (error) {
    throw fields.wrong('schedule', error instanceof Error ? error.message : 'a rank schedule', fields.text('schedule'));
  }
  if (maxRank !== rank) throw fields.wrong('schedule', `maxRank ${rank}, the file's rank`, maxRank);
  return schedule;
}

function startOf(fields: Fields, { from, which, frames }: Record<string, unknown>): AdapterStart {
  return {
    from: choice(fields, 'start.from', from, ['random', 'weight']),
    which: choice(fields, 'start.which', which, ['last', 'middle', 'principal']),
    frames: choice(fields, 'start.frames', frames, ['haar', 'reference']),
  };
}

function startRecord(fields: Fields, start: Record<string, unknown>): StartRecord {
  const { stored, generator, version } = start;
  if (typeof stored !== 'boolean') throw fields.wrong('start.stored', 'true or false', stored);
  if (typeof generator !== 'string') throw fields.wrong('start.generator', 'a text', generator);
  return { stored, generator, version: fields.count('start.version', version, 1) };
}
