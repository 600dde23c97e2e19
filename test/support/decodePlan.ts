// Reads encoded plans (lib/plan/encode.ts; layout in native/core/plan.h), as an engine does: for engines of the tests' own.
import type { DType } from '../../lib/graph/graph.js';
import { ops } from '../../lib/ops/index.js';

const DTYPES: readonly DType[] = ['f32', 'f16', 'bf16', 'i32'];
const PLACES = ['arena', 'io', 'weight', 'state'] as const;
const NONE = 0xffffffff;

export interface DecodedTensor {
  readonly place: (typeof PLACES)[number];
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly name: string;
  /** Name of the state buffer or of the weight; '' elsewhere. */
  readonly buffer: string;
  /** In bytes. */
  readonly offset: number;
}

export interface DecodedCall {
  readonly op: string;
  readonly path: string;
  readonly inputs: readonly (DecodedTensor | null)[];
  readonly outputs: readonly (DecodedTensor | null)[];
  readonly attrs: Readonly<Record<string, number>>;
}

export interface DecodedPlan {
  readonly inputs: ReadonlyMap<string, DecodedTensor>;
  readonly results: ReadonlyMap<string, DecodedTensor>;
  readonly calls: readonly DecodedCall[];
}

/** Little-endian numbers, one after the other. */
function reader(bytes: Uint8Array): {
  u8(): number;
  u32(): number;
  u64(): number;
  f64(): number;
  text(n: number): string;
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const past = (n: number): number => {
    at += n;
    return at - n;
  };
  return {
    u8: () => view.getUint8(past(1)),
    u32: () => view.getUint32(past(4), true),
    u64: () => Number(view.getBigUint64(past(8), true)),
    f64: () => view.getFloat64(past(8), true),
    text: (n) => new TextDecoder().decode(bytes.subarray(past(n), at)),
  };
}

const times = <T>(count: number, one: () => T): T[] => Array.from({ length: count }, one);

/** What a plan says, without sizes of memory and scratch. */
export function decodePlan(bytes: Uint8Array): DecodedPlan {
  const from = reader(bytes);
  from.text(8); // the format's name; version, device, threads, bytes of the arena and of io
  for (let i = 0; i < 3; i++) from.u32();
  for (let i = 0; i < 2; i++) from.u64();
  const names = times(from.u32(), () => from.text(from.u32()));
  times(from.u32(), () => [from.u32(), from.u64()]); // state buffers
  const tensors = times(from.u32(), (): DecodedTensor => {
    const [place, dtype] = [PLACES[from.u8()]!, DTYPES[from.u8()]!];
    from.u8(); // matrix
    const sides = from.u8();
    const [name, buffer] = [names[from.u32()]!, names[from.u32()] ?? ''];
    const offset = from.u64();
    return { place, dtype, name, buffer, offset, shape: times(sides, () => from.u64()) };
  });
  const named = (): Map<string, DecodedTensor> =>
    new Map(times(from.u32(), () => [names[from.u32()]!, tensors[from.u32()]!]));
  const listed = (): (DecodedTensor | null)[] =>
    times(from.u32(), () => {
      const index = from.u32();
      return index === NONE ? null : tensors[index]!;
    });
  const [inputs, results] = [named(), named()];
  const calls = times(from.u32(), (): DecodedCall => {
    const [op, path] = [names[from.u32()]!, names[from.u32()]!];
    const call = { op, path, inputs: listed(), outputs: listed() };
    for (let i = 0; i < 2; i++) from.u64(); // scratch
    const values = times(from.u32(), () => from.f64());
    const known = ops.find(({ name }) => name === op)!;
    return { ...call, attrs: Object.fromEntries(known.attrs.map((name, i) => [name, values[i]!])) };
  });
  return { inputs, results, calls };
}
