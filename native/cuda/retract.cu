// Re-orthonormalises matrices of a flat buffer in place; table [slices, 4]: offset, length, count, transposed. Nothing is
// done when the loss or the norm, if given, is not finite.
#include "cuda/frames.h"

namespace tlora::cuda {

void retract(const Call& call, Context& context) {
  const Tensor& table = call.in[1];
  const Frames frames{.judged = {call.in[2].f32(), call.in[3].f32()}, .to = call.out[0].f32(), .table = table.i32(), .count = table.dims[0], .length = int64_t(call.attr[0]), .width = int64_t(call.attr[1])};
  makeFrames(context, frames, call.scratch);
}

}  // namespace tlora::cuda
