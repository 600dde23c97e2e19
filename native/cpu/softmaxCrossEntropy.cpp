// perSample [n] = lse - logits[label], lse [n] = log sum e^logits [n, c]; loss [1] = their mean. The largest logit is taken
// out first. Sums in float64, samples in order. A label outside the classes reads the nearest: labels are data of the run
// and must never reach memory outside. Gradient: dlogits = dloss (e^(logits - lse) - [class = label]) / n, over logits.
#include <cmath>

#include "cpu/blocks.h"

namespace tlora::cpu {

namespace {

float logSumExp(const float* x, int64_t c) {
  const float top = *std::max_element(x, x + c);
  double sum = 0;
  for (int64_t i = 0; i < c; i++) sum += std::exp(x[i] - top);
  return static_cast<float>(top + std::log(sum));
}

// body(sample) for all samples, some together in a task.
template <class Body>
void eachSample(Context& context, int64_t n, int64_t c, Body body) {
  const int64_t step = chunkRows(c);
  context.pool.run(blocksOf(n, step), [&](int64_t task, int) {
    for (int64_t i = task * step; i < std::min(n, (task + 1) * step); i++) body(i);
  });
}

}  // namespace

void softmaxCrossEntropy(const Call& call, Context& context) {
  const int64_t n = call.in[0].dims[0], c = call.in[0].last();
  const float* logits = call.in[0].f32();
  const int32_t* labels = call.in[1].i32();
  float *perSample = call.out[1].f32(), *lse = call.out[2].f32();
  eachSample(context, n, c, [&](int64_t i) {
    lse[i] = logSumExp(logits + i * c, c);
    perSample[i] = lse[i] - logits[i * c + std::clamp<int64_t>(labels[i], 0, c - 1)];
  });
  double total = 0;
  for (int64_t i = 0; i < n; i++) total += perSample[i];
  call.out[0].f32()[0] = static_cast<float>(total / static_cast<double>(n));
}

void softmaxCrossEntropyVjp(const Call& call, Context& context) {
  const int64_t n = call.in[0].dims[0], c = call.in[0].last();
  const float *logits = call.in[0].f32(), *lse = call.in[2].f32();
  const int32_t* labels = call.in[1].i32();
  const float each = static_cast<float>(call.in[3].f32()[0] / static_cast<double>(n));
  float* dlogits = call.out[0].f32();
  eachSample(context, n, c, [&](int64_t i) {
    const int64_t label = std::clamp<int64_t>(labels[i], 0, c - 1);
    for (int64_t k = 0; k < c; k++)
      dlogits[i * c + k] = each * (std::exp(logits[i * c + k] - lse[i]) - (k == label ? 1.0f : 0.0f));
  });
}

}  // namespace tlora::cpu
