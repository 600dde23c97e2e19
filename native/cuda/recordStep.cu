// Judges one optimizer step and writes it down, in place on steps [8 + rows (4 + samples)] float32:
//   0, 1 / scale, scale, good steps since the scale changed, failed (0 or NaN), rows written, steps applied, unused,
//   rows of loss, norm, scale, 1 where the step was skipped, and the loss of each sample if these are given.
// verdict is 0 for a step to be applied and NaN for any other. One thread; see lib/ops/recordStep.ts.
#include "context.h"
#include "launch.h"
#include "types.h"

namespace tlora::cuda {

namespace {

constexpr float kLargestScale = 0x1p24f;

__device__ bool finite(float x) { return x - x == 0; }

struct Record {
  float* steps;
  int64_t size;
  const float* losses;
  int64_t samples;
};

__global__ void recordKernel(Record record, const float* lossAt, const float* normAt, float* verdict, float interval) {
  waitForPrevious();
  float* const steps = record.steps;
  const float loss = *lossAt, norm = *normAt, nan = __builtin_nanf("");
  float scale = steps[2], good = steps[3], failed = steps[4], count = steps[5];
  const bool applied = finite(loss) && finite(norm) && failed == 0;
  const int64_t row = 8 + (4 + record.samples) * static_cast<int64_t>(count);
  if (row + 4 + record.samples <= record.size) {
    steps[row] = loss;
    steps[row + 1] = norm;
    steps[row + 2] = scale;
    steps[row + 3] = applied ? 0.f : 1.f;
    for (int64_t i = 0; i < record.samples; i++) steps[row + 4 + i] = record.losses[i];
    count += 1;
  }
  if (applied) {
    steps[6] += 1;
    good += 1;
    if (interval > 0 && good >= interval) {
      scale = fminf(2 * scale, kLargestScale);
      good = 0;
    }
  } else if (failed == 0) {
    if (interval > 0 && finite(loss) && scale > 1) {
      scale /= 2;
      good = 0;
    } else {
      failed = nan;
    }
  }
  steps[0] = 0;
  steps[1] = 1 / scale;
  steps[2] = scale;
  steps[3] = good;
  steps[4] = failed;
  steps[5] = count;
  if (verdict) *verdict = applied ? 0.f : nan;
}

}  // namespace

void recordStep(const Call& call, Context& context) {
  const Tensor &steps = call.out[0], &losses = call.in[3];
  const Record record{steps.f32(), steps.size(), losses.f32(), losses.present() ? losses.size() : 0};
  launch(context, recordKernel, 1, 1, record, call.in[1].f32(), call.in[2].f32(), call.out[1].f32(), static_cast<float>(call.attr[0]));
}

}  // namespace tlora::cuda
