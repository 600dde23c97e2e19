// q = the frame Q of g = Q R, positive diagonal of R; g [(layers,) m, r].
#include "cuda/frames.h"

namespace tlora::cuda {

void qrFrame(const Call& call, Context& context) {
  const Tensor& g = call.in[0];
  const int64_t r = g.last(), m = g.dims[g.rank - 2];
  const Frames frames{.from = g.f32(), .to = call.out[0].f32(), .count = g.size() / (m * r), .length = m, .width = r, .transposeResult = call.attr[0] != 0};
  makeFrames(context, frames, call.scratch);
}

}  // namespace tlora::cuda
