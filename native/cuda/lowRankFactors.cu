// The factors of low-rank branches as lowRankBranch reads them, of many layers in one launch, and what their gradients need last.
//   A layer, float32: P = up [out, r], Q = down [r, in], L = diag(lambda [r]); index 0: the frozen start; M keeps the first
//   activeRank[i] components of sample i; in the compute type, rp = r rounded up to 8:
//   A [copies, layers stack rp, in] = rows of M L Q, then of M (L Q - L0 Q0);   B [layers out, stack rp] = columns of P - P0 and of P0.
// Both are formed in float32 and then rounded, so equal trained and frozen parts give exact zeros. What lies between r and rp is zero.
// One copy of A a sample, or one for all. Without a start (plain LoRA) stack = 1, and A, B are M L Q and P. Layers that read the same x
// are a group: they lie one below the other in one A and one B.
//
// Gradients: G [copies, r, in], float32, is that of L Q, the sum of those of A's two blocks; dQ = L G, dL = rowdot(Q, G), over the copies
// and components that M keeps: what G holds of others is not read into a sum. dP is B's, of several layers each one's part.
// Traffic a layer: 8 r (in + out) bytes read, with a start, 2 e rp (copies in + out) written; gradients 4 r in (2 copies + 2), and in a
// group 8 r out.
#include <cuda_runtime.h>

#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/types.h"

namespace tlora::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kLayers = 16;  // of one launch: what describes them is passed by value
constexpr int kLayerInputs = 6, kGradientInputs = 4, kGradients = 3;

struct Layer {
  const float *up = nullptr, *down = nullptr, *lambda = nullptr, *up0 = nullptr, *down0 = nullptr, *lambda0 = nullptr;
  void *a = nullptr, *b = nullptr;  // of this layer
  int64_t copyOfA = 0;              // elements from one copy to the next
  int32_t out = 0, in = 0, r = 0, rp = 0;
  bool wholeDown = false, wholeUp = false;  // rows of down and up lie on 16 bytes
};

// Those of a launch, and the active rank of each copy of A.
struct Layers {
  Layer of[kLayers] = {};
  const int32_t* activeRank;
  int32_t copies;
};

// `count` values from `from` on, and zeros; `whole`: they lie on 16 bytes.
template <int V>
__device__ inline void loadFloats(const float* from, int count, bool whole, float (&values)[V]) {
  if (whole && count == V) {
    for (int k = 0; k < V; k += 4) {
      const Pack<float> pack = loadPack(from + k);
      for (int i = 0; i < 4; i++) values[k + i] = pack[i];
    }
    return;
  }
  for (int k = 0; k < V; k++) values[k] = k < count ? from[k] : 0.0f;
}

template <class T>
__device__ inline void storeValues(T* to, const float (&values)[Pack<T>::size], int count, bool whole) {
  if (whole && count == Pack<T>::size) {
    Pack<T> pack;
    for (int k = 0; k < Pack<T>::size; k++) pack[k] = fromFloat<T>(values[k]);
    storePack(to, pack);
    return;
  }
  for (int k = 0; k < Pack<T>::size; k++) {
    if (k < count) to[k] = fromFloat<T>(values[k]);
  }
}

// A pack of row j of A's blocks, in all copies. Products are rounded before they are subtracted, so that equals cancel.
template <class T>
__device__ inline void formA(const Layer& f, const int32_t* activeRank, int copies, int64_t j, int64_t column) {
  constexpr int V = Pack<T>::size;
  const int count = int(f.in - column < V ? f.in - column : V);
  float trained[V] = {}, change[V] = {};
  if (j < f.r) {
    const float lambda = f.lambda ? f.lambda[j] : 1.0f;
    loadFloats(f.down + j * f.in + column, count, f.wholeDown, trained);
    for (int k = 0; k < V; k++) trained[k] = __fmul_rn(trained[k], lambda);
    if (f.up0) {
      loadFloats(f.down0 + j * f.in + column, count, f.wholeDown, change);
      for (int k = 0; k < V; k++) change[k] = trained[k] - __fmul_rn(change[k], f.lambda0[j]);
    }
  }
  const int64_t block = int64_t(f.rp) * f.in;
  for (int i = 0; i < copies; i++) {
    T* row = static_cast<T*>(f.a) + i * f.copyOfA + j * f.in + column;
    const bool active = j < activeRank[i];
    float values[V];
    for (int k = 0; k < V; k++) values[k] = active ? trained[k] : 0.0f;
    storeValues(row, values, count, f.wholeDown);
    if (!f.up0) continue;
    for (int k = 0; k < V; k++) values[k] = active ? change[k] : 0.0f;
    storeValues(row + block, values, count, f.wholeDown);
  }
}

// Columns j ... of row o of B's blocks.
template <class T>
__device__ inline void formB(const Layer& f, int64_t o, int64_t j) {
  constexpr int V = Pack<T>::size;
  const int count = int(j >= f.r ? 0 : f.r - j < V ? f.r - j : V);
  float trained[V], start[V];
  loadFloats(f.up + o * f.r + j, count, f.wholeUp, trained);
  T* row = static_cast<T*>(f.b) + o * (f.up0 ? 2 : 1) * f.rp + j;
  if (f.up0) {
    loadFloats(f.up0 + o * f.r + j, count, f.wholeUp, start);
    for (int k = 0; k < V; k++) trained[k] -= start[k];
    storeValues(row + f.rp, start, V, true);
  }
  storeValues(row, trained, V, true);
}

// Packs of a layer's rows of A and of its rows of B.
template <class T>
__host__ __device__ inline int64_t unitsOfA(const Layer& f) {
  return int64_t(f.rp) * ((f.in + Pack<T>::size - 1) / Pack<T>::size);
}
template <class T>
__host__ __device__ inline int64_t unitsOfB(const Layer& f) {
  return int64_t(f.out) * (f.rp / Pack<T>::size);
}

template <class T>
__global__ void formFactors(Layers layers) {
  waitForPrevious();
  constexpr int V = Pack<T>::size;
  const Layer& f = layers.of[blockIdx.y];
  const int64_t unit = int64_t(blockIdx.x) * kThreads + threadIdx.x, perA = (f.in + V - 1) / V, perB = f.rp / V, up = unit - unitsOfA<T>(f);
  if (up < 0) formA<T>(f, layers.activeRank, layers.copies, unit / perA, unit % perA * V);
  else if (up < unitsOfB<T>(f)) formB<T>(f, up / perB, up % perB * V);
}

struct Gradient {
  const float *down = nullptr, *lambda = nullptr;
  const float *g = nullptr, *g2 = nullptr;  // of A's blocks: L Q, and L Q - L0 Q0 or null
  const float* dB = nullptr;                // of this layer
  float *dUp = nullptr, *dDown = nullptr, *dLambda = nullptr;
  int64_t copyOfG = 0;  // elements from one copy to the next
  int32_t in = 0, out = 0, r = 0;
};

struct Gradients {
  Gradient of[kLayers] = {};
  const int32_t* activeRank;
  int32_t copies = 0;
};

// A block has a component of a layer, and an r-th of its dUp.
__global__ void finishGradients(Gradients layers) {
  waitForPrevious();
  const Gradient& f = layers.of[blockIdx.y];
  const int j = int(blockIdx.x);
  if (j >= f.r) return;
  if (f.dUp) {
    const int64_t count = int64_t(f.out) * f.r;
    for (int64_t i = int64_t(j) * kThreads + threadIdx.x; i < count; i += int64_t(f.r) * kThreads) f.dUp[i] = f.dB[i];
  }
  if (!f.dDown && !f.dLambda) return;
  const int64_t row = int64_t(j) * f.in;
  const float lambda = f.lambda ? f.lambda[j] : 1.0f;
  float sum = 0;
  for (int64_t i = threadIdx.x; i < f.in; i += kThreads) {
    float value = 0;
    for (int c = 0; c < layers.copies; c++) {
      if (j >= layers.activeRank[c]) continue;
      const int64_t place = c * f.copyOfG + row + i;
      value += f.g2 ? f.g[place] + f.g2[place] : f.g[place];
    }
    sum += f.down[row + i] * value;
    if (f.dDown) f.dDown[row + i] = value * lambda;
  }
  sum = blockSum(sum);
  if (f.dLambda && threadIdx.x == 0) f.dLambda[j] = sum;
}

// Calls body(first layer, number of them) for each launch.
template <class Body>
void eachLaunch(int64_t layers, Body body) {
  for (int64_t first = 0; first < layers; first += kLayers) body(first, std::min<int64_t>(kLayers, layers - first));
}

int32_t stackedRank(int64_t r) { return int32_t(ceilDiv(r, 8) * 8); }

// A group of layers of a call: the first has tensors that the others lack.
struct Group {
  int64_t first, size;
};

// That of `layer`, of `count` in all.
template <class Has>
Group groupOf(int64_t layer, int64_t count, Has has) {
  int64_t first = layer, end = layer + 1;
  while (first > 0 && !has(first)) first--;
  while (end < count && !has(end)) end++;
  if (!has(first)) fail(kPlan, "lowRankFactors: layer %lld has no factors", (long long)layer);
  return {first, end - first};
}

void* elementsOn(const Tensor& t, int64_t elements) { return static_cast<char*>(t.data) + elements * int64_t(dtypeBytes(t.dtype)); }

Layer layerOf(const Call& call, int64_t layer) {
  const Tensor *in = call.in + 1 + layer * kLayerInputs, *out = call.out;
  const Group group = groupOf(layer, (call.inputs - 1) / kLayerInputs, [&](int64_t i) { return out[2 * i].present(); });
  const Tensor &a = out[2 * group.first], &b = out[2 * group.first + 1];
  const int64_t place = layer - group.first, rows = a.dims[1] / group.size;
  Layer f{in[0].f32(), in[1].f32(), in[2].f32(), in[3].f32(), in[4].f32(), in[5].f32()};
  f.out = int32_t(in[0].dims[0]), f.r = int32_t(in[0].dims[1]), f.in = int32_t(in[1].dims[1]), f.rp = stackedRank(f.r);
  f.a = elementsOn(a, place * rows * f.in), f.b = elementsOn(b, place * f.out * b.dims[1]);
  f.copyOfA = a.dims[1] * f.in;
  const int64_t pack = a.dtype == DType::f32 ? 4 : 8;
  f.wholeDown = f.in % pack == 0 && onPack(f.down) && onPack(f.down0);
  f.wholeUp = f.r % 4 == 0 && onPack(f.up) && onPack(f.up0);
  return f;
}

Gradient gradientOf(const Call& call, int64_t layer) {
  const Tensor *in = call.in + 1 + layer * kGradientInputs, *out = call.out + layer * kGradients;
  const Group group = groupOf(layer, (call.inputs - 1) / kGradientInputs, [&](int64_t i) {
    const Tensor* of = call.in + 1 + i * kGradientInputs;
    return of[2].present() || of[3].present();
  });
  const Tensor *first = call.in + 1 + group.first * kGradientInputs, &g = first[2], &dB = first[3];
  const int64_t place = layer - group.first;
  Gradient f{.down = in[0].f32(), .lambda = in[1].f32(), .dUp = out[0].f32(), .dDown = out[1].f32(), .dLambda = out[2].f32()};
  f.r = int32_t(in[0].dims[0]), f.in = int32_t(in[0].dims[1]);
  if (g.present()) {
    const int64_t rows = g.dims[1] / group.size, rp = stackedRank(f.r);
    f.g = g.f32() + place * rows * f.in;
    f.g2 = rows > rp ? f.g + rp * f.in : nullptr;
    f.copyOfG = g.dims[1] * f.in;
  }
  if (dB.present()) {
    f.out = int32_t(dB.dims[0] / group.size);
    f.dB = dB.f32() + place * f.out * f.r;
  }
  return f;
}

}  // namespace

// in: activeRank, then up, down, lambda, up0, down0, lambda0 of each layer; out: A and B of each, of a group at its first.
void lowRankFactors(const Call& call, Context& context) {
  Layers layers{.activeRank = call.in[0].i32(), .copies = int32_t(call.out[0].dims[0])};
  withType(call.out[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    eachLaunch((call.inputs - 1) / kLayerInputs, [&](int64_t first, int64_t count) {
      int64_t units = 0;
      for (int64_t i = 0; i < count; i++) {
        Layer& f = layers.of[i] = layerOf(call, first + i);
        units = std::max(units, unitsOfA<T>(f) + unitsOfB<T>(f));
      }
      launch(context, formFactors<T>, Grid{ceilDiv(units, kThreads), count}, kThreads, layers);
    });
  });
}

// in: activeRank, then down, lambda, dA and dB of each layer, of a group at its first; out: dUp, dDown and dLambda of each.
void lowRankFactorsVjp(const Call& call, Context& context) {
  Gradients layers{.activeRank = call.in[0].i32()};
  const int64_t all = (call.inputs - 1) / kGradientInputs;
  for (int64_t i = 0; i < all; i++) {
    if (const Tensor& g = call.in[1 + i * kGradientInputs + 2]; g.present()) layers.copies = int32_t(g.dims[0]);
  }
  eachLaunch(all, [&](int64_t first, int64_t count) {
    int32_t rows = 0;
    for (int64_t i = 0; i < count; i++) {
      layers.of[i] = gradientOf(call, first + i);
      rows = std::max(rows, layers.of[i].r);
    }
    launch(context, finishGradients, Grid{rows, count}, kThreads, layers);
  });
}

}  // namespace tlora::cuda
