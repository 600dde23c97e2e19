import { readFileSync } from 'node:fs';

/** The tensors of a stored safetensors file as float64, and the metadata; enough of the format for these files. */
export interface SchedulerFixture {
  readonly steps: number;
  tensor(name: string): Float64Array;
}

export function schedulerFixture(pipeline: string): SchedulerFixture {
  const path = new URL(`../fixtures/expected-${pipeline}/schedulers.safetensors`, import.meta.url);
  const file = readFileSync(path);
  const data = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, data));
  return {
    steps: JSON.parse(header.__metadata__.steps),
    tensor(name) {
      const { dtype, data_offsets } = header[name];
      const bytes = Uint8Array.from(file.subarray(data + data_offsets[0], data + data_offsets[1])).buffer;
      return Float64Array.from(dtype === 'I32' ? new Int32Array(bytes) : new Float32Array(bytes));
    },
  };
}

/** ‖ours − theirs‖ / ‖theirs‖; infinite when the lengths differ. */
export function relativeError(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  if (ours.length !== theirs.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < theirs.length; i++) {
    difference += (ours[i]! - theirs[i]!) ** 2;
    size += theirs[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}
