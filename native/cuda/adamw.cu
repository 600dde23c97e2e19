// One AdamW step in place on flat float32 buffers [N], in the order of torch.optim.AdamW:
//   g *= min(1, maxNorm / (norm + 1e-6));  p *= 1 - lr wd;  m += (g - m)(1 - beta1);  v = v beta2 + (1 - beta2) g g;
//   p -= (lr / bc1) m / (sqrt(v) / sqrt(bc2) + eps).
// hyper: lr, beta1, beta2, eps, weight decay, bc1 = 1 - beta1^t, bc2 = 1 - beta2^t, maxNorm (0: no clipping). With `applied` t is that.
// A loss or norm that is not finite is seen here, on the device: nothing is written then, and the host learns it from these two
// results. Scalars in float64, once a block, then rounded. All parameters of all layers are one buffer, so this is one launch.
// Traffic: 16 N bytes read, 12 N written.
#include <cuda_runtime.h>

#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/shared.h"
#include "cuda/types.h"

namespace tlora::cuda {

namespace {

constexpr int kThreads = 256;

enum Scalar { kClip, kDecay, kOneMinusBeta1, kBeta2, kOneMinusBeta2, kRootBc2, kEps, kStepSize, kSkip, kScalars };

// A beta at seven decimals: 0.999 as float32 is 0.99900001287, whose distance from 1 is wrong in its fifth digit.
__device__ inline double decimal(float beta) { return rint(double(beta) * 1e7) / 1e7; }

// applied may be nullptr.
__device__ inline void stepOf(const float* hyper, float loss, float norm, const float* applied, SharedArray<float> s) {
  const double lr = hyper[0], beta1 = decimal(hyper[1]), beta2 = decimal(hyper[2]);
  const float bc1 = applied ? float(1 - pow(beta1, double(*applied))) : hyper[5];
  const float bc2 = applied ? float(1 - pow(beta2, double(*applied))) : hyper[6];
  const double clip = hyper[7] / (double(norm) + 1e-6);
  s[kClip] = hyper[7] > 0 && clip < 1 ? float(clip) : 1.0f;
  s[kDecay] = float(1.0 - lr * hyper[4]);
  s[kOneMinusBeta1] = float(1.0 - beta1);
  s[kBeta2] = float(beta2);
  s[kOneMinusBeta2] = float(1.0 - beta2);
  s[kRootBc2] = float(sqrt(double(bc2)));
  s[kEps] = hyper[3];
  s[kStepSize] = float(lr / bc1);
  s[kSkip] = loss - loss == 0 && norm - norm == 0 ? 0.0f : 1.0f;  // not so for infinities and NaN
}

struct Element {
  float p, m, v;
};

__device__ inline Element step(Element at, float g, const float (&s)[kScalars]) {
  g *= s[kClip];
  at.m += (g - at.m) * s[kOneMinusBeta1];
  at.v = at.v * s[kBeta2] + s[kOneMinusBeta2] * g * g;
  at.p = at.p * s[kDecay] - s[kStepSize] * at.m / (sqrtf(at.v) / s[kRootBc2] + s[kEps]);
  return at;
}

__global__ void adamwStep(float* p, const float* grads, float* m, float* v, const float* hyper, const float* loss, const float* norm,
                          const float* applied, int64_t n) {
  waitForPrevious();
  TLORA_SHARED(float, scalars, kScalars);
  if (threadIdx.x == 0) stepOf(hyper, loss[0], norm[0], applied, scalars);
  __syncthreads();
  float s[kScalars];
  for (int i = 0; i < kScalars; i++) s[i] = scalars[i];
  if (s[kSkip] != 0) return;
  const int64_t first = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * 4, stride = int64_t(gridDim.x) * kThreads * 4;
  for (int64_t i = first; i < n; i += stride) {
    if (i + 4 <= n) {
      Pack<float> ps = loadPack(p + i), gs = loadPack(grads + i), ms = loadPack(m + i), vs = loadPack(v + i);
      for (int k = 0; k < 4; k++) {
        const Element e = step({ps[k], ms[k], vs[k]}, gs[k], s);
        ps[k] = e.p, ms[k] = e.m, vs[k] = e.v;
      }
      storePack(p + i, ps), storePack(m + i, ms), storePack(v + i, vs);
      continue;
    }
    for (int64_t k = i; k < n; k++) {
      const Element e = step({p[k], m[k], v[k]}, grads[k], s);
      p[k] = e.p, m[k] = e.m, v[k] = e.v;
    }
  }
}

}  // namespace

void adamw(const Call& call, Context& context) {
  const int64_t n = call.in[0].size();
  launch(context, adamwStep, gridFor(context, ceilDiv(n, 4), kThreads), kThreads, call.in[0].f32(), call.in[1].f32(), call.in[2].f32(),
         call.in[3].f32(), call.in[4].f32(), call.in[5].f32(), call.in[6].f32(), call.in[7].f32(), n);
}

}  // namespace tlora::cuda
