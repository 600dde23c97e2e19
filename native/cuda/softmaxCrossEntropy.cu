// perSample [n] = lse - logits[label], lse [n] = log sum e^logits [n, c]; loss [1] = their mean. float32; a warp per sample, the largest
// logit taken out first; the mean in float64, samples in order. A label outside the classes reads the nearest: labels are data of the
// run and must never reach memory outside. Gradient: dlogits = dloss (e^(logits - lse) - [class = label]) / n, over logits.
#include "cuda/elements.h"
#include "cuda/reduce.h"

namespace tlora::cuda {

namespace {

constexpr int kWarps = 8;

__device__ inline int64_t nearestClass(int32_t label, int64_t c) { return label < 0 ? 0 : label >= c ? c - 1 : label; }

__global__ void softmaxCrossEntropyKernel(const float* logits, const int32_t* labels, float* perSample, float* lse, int64_t n, int64_t c) {
  waitForPrevious();
  const int64_t sample = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (sample >= n) return;
  const float* x = logits + sample * c;
  float top = x[0], sum = 0;
  for (int64_t k = threadIdx.x % 32; k < c; k += 32) top = fmaxf(top, x[k]);
  top = warpMax(top);
  for (int64_t k = threadIdx.x % 32; k < c; k += 32) sum += expf(x[k] - top);
  const float log = top + logf(warpSum(sum));
  if (threadIdx.x % 32 != 0) return;
  lse[sample] = log;
  perSample[sample] = log - x[nearestClass(labels[sample], c)];
}

__global__ void meanLoss(const float* perSample, float* loss, int64_t n) {
  waitForPrevious();
  double total = 0;
  for (int64_t i = 0; i < n; i++) total += double(perSample[i]);
  loss[0] = float(total / double(n));
}

__global__ void softmaxCrossEntropyVjpKernel(const float* logits, const int32_t* labels, const float* lse, const float* dloss,
                                             float* dlogits, int64_t n, int64_t c) {
  waitForPrevious();
  const float each = dloss[0] / float(n);
  for (int64_t i = firstElement<1>(); i < n * c; i += elementStep<1>()) {
    const int64_t sample = i / c, k = i % c;
    dlogits[i] = each * (expf(logits[i] - lse[sample]) - (k == nearestClass(labels[sample], c) ? 1.0f : 0.0f));
  }
}

}  // namespace

void softmaxCrossEntropy(const Call& call, Context& context) {
  const int64_t n = call.in[0].dims[0], c = call.in[0].last();
  float *perSample = call.out[1].f32(), *lse = call.out[2].f32();
  launch(context, softmaxCrossEntropyKernel, ceilDiv(n, kWarps), 32 * kWarps, call.in[0].f32(), call.in[1].i32(), perSample, lse, n, c);
  launch(context, meanLoss, 1, 1, perSample, call.out[0].f32(), n);
}

void softmaxCrossEntropyVjp(const Call& call, Context& context) {
  const int64_t n = call.in[0].dims[0], c = call.in[0].last();
  launch(context, softmaxCrossEntropyVjpKernel, elementGrid<1>(context, n * c), kElementThreads, call.in[0].f32(), call.in[1].i32(),
         call.in[2].f32(), call.in[3].f32(), call.out[0].f32(), n, c);
}

}  // namespace tlora::cuda
