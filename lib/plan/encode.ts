import { TloraError } from '../errors.js';
import { DTYPE_BYTES, type DType, elements } from '../graph/graph.js';
import type { Plan, PlannedCall, PlannedTensor } from './plan.js';
import { targetDevice } from './target.js';

/** Version of the encoding; native/core/plan.h documents it and checks it. */
export const PLAN_FORMAT = 2;

const NONE = 0xffffffff;
const DEVICES: readonly ReturnType<typeof targetDevice>[] = ['cpu', 'cuda'];
const PLACES: readonly PlannedTensor['place'][] = ['arena', 'io', 'weight', 'state'];
const DTYPES: readonly DType[] = ['f32', 'f16', 'bf16', 'i32'];

/** Little-endian numbers appended to a buffer that doubles when it is full. */
interface Writer {
  u8(value: number): void;
  u32(value: number): void;
  u64(value: number): void;
  f64(value: number): void;
  raw(bytes: Uint8Array): void;
  done(): Uint8Array;
}

function createWriter(): Writer {
  let bytes = new Uint8Array(1 << 16);
  let view = new DataView(bytes.buffer);
  let at = 0;
  const room = (n: number): number => {
    if (at + n > bytes.length) {
      const larger = new Uint8Array(Math.max(bytes.length * 2, at + n));
      larger.set(bytes);
      bytes = larger;
      view = new DataView(bytes.buffer);
    }
    at += n;
    return at - n;
  };
  // `room` may replace `bytes` and `view`, so they are looked up only inside `set`
  const put = (n: number, set: (start: number) => void): void => set(room(n));
  return {
    u8: (value) => put(1, (i) => view.setUint8(i, value)),
    u32: (value) => put(4, (i) => view.setUint32(i, value, true)),
    u64: (value) => put(8, (i) => view.setBigUint64(i, BigInt(value), true)),
    f64: (value) => put(8, (i) => view.setFloat64(i, value, true)),
    raw: (data) => put(data.length, (i) => bytes.set(data, i)),
    done: () => bytes.slice(0, at),
  };
}

/** Gives each distinct item an index, in order of first use. */
function createTable<T>(): { items: T[]; index(item: T): number } {
  const known = new Map<T, number>();
  const items: T[] = [];
  const index = (item: T): number => {
    let i = known.get(item);
    if (i === undefined) {
      i = items.push(item) - 1;
      known.set(item, i);
    }
    return i;
  };
  return { items, index };
}

type Names = ReturnType<typeof createTable<string>>;
type Tensors = ReturnType<typeof createTable<PlannedTensor>>;

function writeTensor(out: Writer, tensor: PlannedTensor, names: Names): void {
  const { value, place, offset, buffer, matrix } = tensor;
  out.u8(PLACES.indexOf(place));
  out.u8(DTYPES.indexOf(value.dtype));
  out.u8(matrix ? 1 : 0);
  out.u8(value.shape.length);
  out.u32(names.index(value.name));
  out.u32(buffer === undefined ? NONE : names.index(buffer));
  out.u64(offset);
  for (const size of value.shape) out.u64(size);
}

function writeNamed(out: Writer, named: ReadonlyMap<string, PlannedTensor>, names: Names, tensors: Tensors): void {
  out.u32(named.size);
  for (const [name, tensor] of named) {
    out.u32(names.index(name));
    out.u32(tensors.index(tensor));
  }
}

function writeCall(out: Writer, call: PlannedCall, names: Names, tensors: Tensors): void {
  const { op, path, attrs } = call.node;
  out.u32(names.index(op.name));
  out.u32(names.index(path));
  for (const list of [call.inputs, call.outputs]) {
    out.u32(list.length);
    for (const tensor of list) out.u32(tensor === null ? NONE : tensors.index(tensor));
  }
  out.u64(call.scratchBytes > 0 ? call.scratchOffset : 0);
  out.u64(call.scratchBytes);
  out.u32(op.attrs.length);
  for (const name of op.attrs) out.f64(attrs[name]!);
}

function allTensors(plan: Plan): Tensors {
  const tensors = createTable<PlannedTensor>();
  for (const tensor of plan.tensors) tensors.index(tensor);
  for (const { inputs, outputs } of plan.calls) {
    for (const tensor of [...inputs, ...outputs]) if (tensor !== null) tensors.index(tensor);
  }
  for (const tensor of [...plan.inputs.values(), ...plan.results.values()]) tensors.index(tensor);
  return tensors;
}

function checkResults(plan: Plan): void {
  for (const [name, { place, value }] of plan.results) {
    if (place !== 'arena') continue;
    const bytes = elements(value.shape) * DTYPE_BYTES[value.dtype];
    throw new TloraError(
      'ERR_TLORA_PLAN',
      `result '${name}' (${bytes} bytes): expected it in io, state or a weight, got the arena, which the next program overwrites`,
    );
  }
}

/**
 * The bytes that `engine.load` and the program tlora-run-plan read: layout in native/core/plan.h. Views have no call.
 * @throws TloraError ERR_TLORA_PLAN if a result lies in the arena
 */
export function encodePlan(plan: Plan): Uint8Array {
  checkResults(plan);
  const names = createTable<string>();
  const tensors = allTensors(plan);
  const body = createWriter();
  body.u32(plan.stateBytes.size);
  for (const [name, bytes] of plan.stateBytes) {
    body.u32(names.index(name));
    body.u64(bytes);
  }
  body.u32(tensors.items.length);
  for (const tensor of tensors.items) writeTensor(body, tensor, names);
  writeNamed(body, plan.inputs, names, tensors);
  writeNamed(body, plan.results, names, tensors);
  const calls = plan.calls.filter(({ node }) => node.op.kernel !== false);
  body.u32(calls.length);
  for (const call of calls) writeCall(body, call, names, tensors);
  const head = writeHead(plan, names.items);
  const tail = body.done();
  const whole = new Uint8Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}

function writeHead(plan: Plan, names: readonly string[]): Uint8Array {
  const head = createWriter();
  const utf8 = new TextEncoder();
  head.raw(utf8.encode('TLORAPLN'));
  head.u32(PLAN_FORMAT);
  head.u32(DEVICES.indexOf(targetDevice(plan.target)));
  head.u32(plan.threads);
  head.u64(plan.arenaBytes);
  head.u64(plan.ioBytes);
  head.u32(names.length);
  for (const name of names) {
    const bytes = utf8.encode(name);
    head.u32(bytes.length);
    head.raw(bytes);
  }
  return head.done();
}
