// Judges one optimizer step and writes it down, in place on steps [8 + rows (4 + samples)] float32:
//   0, 1 / scale, scale, good steps since the scale changed, failed (0 or NaN), rows written, steps applied, unused,
//   rows of loss, norm, scale, 1 where the step was skipped, and the loss of each sample if these are given.
// verdict is 0 for a step to be applied and NaN for any other. See lib/ops/recordStep.ts.
#include <algorithm>
#include <cmath>

#include "cpu/blocks.h"

namespace tlora::cpu {

void recordStep(const Call& call, Context&) {
  constexpr float kLargestScale = 0x1p24f;
  float* steps = call.out[0].f32();
  const float loss = call.in[1].f32()[0], norm = call.in[2].f32()[0];
  const float interval = static_cast<float>(call.attr[0]);
  float &inverse = steps[1], &scale = steps[2], &good = steps[3], &failed = steps[4], &count = steps[5];
  const bool applied = std::isfinite(loss) && std::isfinite(norm) && failed == 0;
  const Tensor& losses = call.in[3];
  const int64_t samples = losses.present() ? losses.size() : 0;
  const int64_t row = 8 + (4 + samples) * static_cast<int64_t>(count);
  if (row + 4 + samples <= call.out[0].size()) {
    const float values[] = {loss, norm, scale, applied ? 0.f : 1.f};
    std::copy(values, values + 4, steps + row);
    if (samples > 0) std::copy(losses.f32(), losses.f32() + samples, steps + row + 4);
    count += 1;
  }
  if (applied) {
    steps[6] += 1;
    good += 1;
    if (interval > 0 && good >= interval) {
      scale = std::min(2 * scale, kLargestScale);
      good = 0;
    }
  } else if (failed == 0) {
    if (interval > 0 && std::isfinite(loss) && scale > 1) {
      scale /= 2;
      good = 0;
    } else {
      failed = NAN;
    }
  }
  steps[0] = 0;
  inverse = 1 / scale;
  if (call.out[1].present()) call.out[1].f32()[0] = applied ? 0.f : NAN;
}

}  // namespace tlora::cpu
