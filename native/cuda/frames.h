// Frames Q of thin QR factorizations A = Q R with a positive diagonal of R, many at once, without the host's help (frames.cu).
#pragma once
#include "context.h"

namespace tlora::cuda {

// Matrix i of `count`: [length, width], either all alike, from `from` to `to`, or as row i of `table` says, in place in `to`: its offset in
// elements, length, width and whether it lies transposed. `length` and `width` are the largest of them then.
struct Frames {
  const float* judged[2] = {};  // nothing is done where one of these, if given, is not finite
  const float* from = nullptr;
  float* to = nullptr;
  const int32_t* table = nullptr;  // on the device
  int64_t count = 0, length = 0, width = 0;
  bool transposeResult = false;  // without a table: frames as rows
};

// `scratch` as lib/ops/qrFrame.ts sizes it for CUDA.
void makeFrames(Context& context, const Frames& frames, void* scratch);

}  // namespace tlora::cuda
