import type { Program, TensorArray } from '../addon/surface.js';
import type { DType } from '../graph/graph.js';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '../io/halfFloat.js';
import type { Plan } from '../plan/plan.js';

/** float32 values as an input of another float type has them, rounded to nearest even; others stay as they are. */
function narrowed(values: TensorArray, dtype: DType | undefined): TensorArray {
  if (!(values instanceof Float32Array)) return values;
  if (dtype === 'bf16') return float32ToBfloat16(values);
  return dtype === 'f16' ? float32ToFloat16(values) : values;
}

/** The bytes of a result as float32. */
function widened(bytes: ArrayBuffer, dtype: DType | undefined): ArrayBuffer {
  if (dtype === 'bf16') return bfloat16ToFloat32(new Uint16Array(bytes)).buffer;
  return dtype === 'f16' ? float16ToFloat32(new Uint16Array(bytes)).buffer : bytes;
}

/** A program whose inputs and results of 16-bit floats are float32 to the host. */
export function withFloats(program: Program, plan: Plan): Program {
  return {
    ...program,
    write: (input, values) => program.write(input, narrowed(values, plan.inputs.get(input)?.value.dtype)),
    read: (result) => widened(program.read(result), plan.results.get(result)?.value.dtype),
  };
}
