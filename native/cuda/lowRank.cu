// The masked low-rank branch: y = base + scale (P M L Q x - P0 M L0 Q0 x), and its gradients.
//   x [n, t, in], base, y, dy [n, t, out] of the compute type; float32: P = up [out, r], Q = down [r, in], L = diag(lambda [r]);
//   index 0: the frozen start; M keeps the first activeRank[i] components of sample i.
// Difference form: dW = (P - P0) M L Q + P0 M (L Q - L0 Q0). The stacked factors are formed in float32 and then rounded to the
// compute type (equal trained and frozen parts give exact zeros, hence exactly no change):
//   A [stack rp, in] = rows of L Q, then of L Q - L0 Q0;   B [out, blocks rp] = columns of P - P0, of P0 and, for gradients, of P.
// rp = r rounded up to 8, so that rows of all operands lie on 16 bytes; the components between are zeros, and so are those past the
// active rank, which is read here on the device: the products are cuBLASLt's, at full rank. With the mask in the factors (one copy of
// them per sample) nothing else has to be masked. Without a start (plain LoRA) stack = 1 and A, B are L Q and P.
//
// Forward, 3 launches: factors; H [n, t, stack rp] = x A^T; y = base + scale H B^T.
// Gradients, up to 7: factors; E [n, t, blocks rp] = scale dy B, of which F = scale dy P is the last block;
//   dx = E A;  G [r, in] = F^T x;  H1 = x (L Q)^T;  dP = scale dy^T H1;  dQ = L G, dL = rowdot(Q, G).
// H, E, F and H1 are of the compute type; G and the gradients of the factors float32. No gradient for the start.
// Traffic for T = n t tokens, e bytes an element, with a start: forward T e (in + 2 out + 4 rp), gradients T e (3 in + 2 out + 8 rp) and
// 8 r (in + out) bytes of the factors each time; FLOPs 4 T rp (in + out) and 8 T rp (in + out).
#include <cuda_runtime.h>

#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/matmul.h"
#include "cuda/reduce.h"
#include "cuda/types.h"

namespace tlora::cuda {

namespace {

constexpr int kThreads = 256;

enum Block { kChange, kStart, kTrained };  // P - P0, P0, P

struct Factors {
  const float *up, *down, *lambda, *up0, *down0, *lambda0;
  const int32_t* activeRank;
  int64_t n, out, in, r, rp;
  int stack() const { return up0 ? 2 : 1; }
};

// The stacked factors: A [n, aBlocks rp, in]; B [out, bBlocks rp], or [n, out, bBlocks rp] behind the mask.
struct Stacked {
  void *a = nullptr, *b = nullptr;
  int aBlocks = 0, bBlocks = 0;
  bool maskB = false;
  Block block[3] = {};
  void add(Block wanted) { block[bBlocks++] = wanted; }
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
  for (int k = 0; k < count; k++) to[k] = fromFloat<T>(values[k]);
}

// A pack of row j of A for all samples. Products are rounded before they are subtracted, so that equals cancel.
template <class T>
__device__ inline void formDown(const Factors& f, const Stacked& to, int64_t j, int64_t column, bool whole) {
  constexpr int V = Pack<T>::size;
  const int count = int(f.in - column < V ? f.in - column : V);
  float trained[V] = {}, change[V] = {};
  if (j < f.r) {
    const float lambda = f.lambda ? f.lambda[j] : 1.0f;
    loadFloats(f.down + j * f.in + column, count, whole, trained);
    for (int k = 0; k < V; k++) trained[k] = __fmul_rn(trained[k], lambda);
    if (to.aBlocks == 2) {
      loadFloats(f.down0 + j * f.in + column, count, whole, change);
      for (int k = 0; k < V; k++) change[k] = trained[k] - __fmul_rn(change[k], f.lambda0[j]);
    }
  }
  T* row = static_cast<T*>(to.a) + j * f.in + column;
  for (int64_t i = 0; i < f.n; i++) {
    const bool active = j < f.activeRank[i];
    float values[V];
    for (int k = 0; k < V; k++) values[k] = active ? trained[k] : 0.0f;
    storeValues(row, values, count, whole);
    for (int k = 0; k < V; k++) values[k] = active ? change[k] : 0.0f;
    if (to.aBlocks == 2) storeValues(row + f.rp * f.in, values, count, whole);
    row += to.aBlocks * f.rp * f.in;
  }
}

// Columns j ... of row o of B's blocks.
template <class T>
__device__ inline void formUp(const Factors& f, const Stacked& to, int64_t o, int64_t j, bool whole) {
  constexpr int V = Pack<T>::size;
  const int count = int(j >= f.r ? 0 : f.r - j < V ? f.r - j : V);
  float trained[V], start[V] = {};
  loadFloats(f.up + o * f.r + j, count, whole, trained);
  if (f.up0) loadFloats(f.up0 + o * f.r + j, count, whole, start);
  const int64_t copies = to.maskB ? f.n : 1;
  for (int64_t i = 0; i < copies; i++) {
    const int64_t active = to.maskB ? f.activeRank[i] : f.r;
#pragma unroll
    for (int b = 0; b < 3; b++) {
      if (b >= to.bBlocks) break;
      float values[V];
      for (int k = 0; k < V; k++) {
        const float value = to.block[b] == kTrained ? trained[k] : to.block[b] == kStart ? start[k] : trained[k] - start[k];
        values[k] = j + k < active ? value : 0.0f;
      }
      storeValues(static_cast<T*>(to.b) + ((i * f.out + o) * to.bBlocks + b) * f.rp + j, values, V, true);
    }
  }
}

template <class T>
__global__ void formFactors(Factors f, Stacked to, bool wholeDown, bool wholeUp) {
  constexpr int V = Pack<T>::size;
  const int64_t perRow = (f.in + V - 1) / V, downUnits = to.aBlocks > 0 ? f.rp * perRow : 0, upUnits = to.bBlocks > 0 ? f.out * (f.rp / V) : 0;
  const int64_t unit = int64_t(blockIdx.x) * kThreads + threadIdx.x, up = unit - downUnits;
  if (unit < downUnits) formDown<T>(f, to, unit / perRow, unit % perRow * V, wholeDown);
  else if (up < upUnits) formUp<T>(f, to, up / (f.rp / V), up % (f.rp / V) * V, wholeUp);
}

// dLambda[j] = rowdot(Q, G); dDown = L G, which may lie over G: a block has a row.
__global__ void finishDown(Factors f, const float* g, float* dDown, float* dLambda) {
  const int64_t row = int64_t(blockIdx.x) * f.in;
  const float lambda = f.lambda[blockIdx.x];
  float sum = 0;
  for (int64_t i = threadIdx.x; i < f.in; i += kThreads) {
    const float value = g[row + i];
    sum += f.down[row + i] * value;
    if (dDown) dDown[row + i] = value * lambda;
  }
  sum = blockSum(sum);
  if (dLambda && threadIdx.x == 0) dLambda[blockIdx.x] = sum;
}

// Blocks of the scratch memory, each rounded up to a cache line, as cudaScratchBytes in lib/ops/lowRank.ts counts them.
class Scratch {
 public:
  explicit Scratch(void* at) : at_(static_cast<char*>(at)) {}
  void* take(int64_t count, DType dtype) {
    char* block = at_;
    at_ += ceilDiv(count * int64_t(dtypeBytes(dtype)), 64) * 64;
    return count > 0 ? block : nullptr;
  }

 private:
  char* at_;
};

// The sizes of a call and the products over its samples.
struct Branch {
  Context& context;
  Factors f;
  DType dtype;
  int64_t t;

  // `in` begins with up, `activeRank` is its seventh.
  Branch(Context& context, const Tensor* in, const Tensor& x)
      : context(context),
        f{in[0].f32(), in[1].f32(), in[2].f32(), in[3].f32(), in[4].f32(), in[5].f32(), in[6].i32(),
          x.dims[0], in[0].dims[0], in[1].dims[1], in[0].dims[1], ceilDiv(in[0].dims[1], 8) * 8},
        dtype(x.dtype), t(x.dims[1]) {}
  int64_t tokens() const { return f.n * t; }

  void form(const Stacked& to) const {
    withType(dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      constexpr int V = Pack<T>::size;
      const int64_t units = (to.aBlocks ? f.rp * ceilDiv(f.in, V) : 0) + (to.bBlocks ? f.out * (f.rp / V) : 0);
      const bool wholeDown = f.in % V == 0 && onPack(f.down) && onPack(f.down0), wholeUp = f.r % 4 == 0 && onPack(f.up) && onPack(f.up0);
      launch(context, formFactors<T>, ceilDiv(units, kThreads), kThreads, f, to, wholeDown, wholeUp);
    });
  }

  // c [n, t, columns] = alpha a [n, t, k] · b, b [k, columns] or its transpose; b has copies `strideB` apart.
  Matmul perSample(const void* a, int64_t lda, const void* b, int64_t ldb, bool transposeB, int64_t strideB, void* c, int64_t columns, int64_t k,
                   float alpha) const {
    const int64_t strideA = t * lda, strideC = t * columns;
    Matmul p{.a = a, .b = b, .c = c, .aType = dtype, .bType = dtype, .cType = dtype, .m = t, .n = columns, .k = k, .lda = lda, .ldb = ldb,
             .ldc = columns, .transposeB = transposeB, .alpha = alpha, .batch = f.n, .strideA = strideA, .strideB = strideB, .strideC = strideC};
    if (strideB == 0) p.m *= p.batch, p.batch = 1;  // one product of all tokens
    return p;
  }
  // c [m, n] float32 = alpha a^T b, over the tokens of all samples: a [tokens, m], b [tokens, n].
  void overTokens(const void* a, int64_t lda, const void* b, int64_t ldb, float* c, int64_t m, int64_t n, float alpha) const {
    matmul(context, {.a = a, .b = b, .c = c, .aType = dtype, .bType = dtype, .cType = DType::f32, .m = m, .n = n, .k = tokens(), .lda = lda,
                     .ldb = ldb, .ldc = n, .transposeA = true, .alpha = alpha});
  }
};

const void* offset(const void* data, int64_t elements, DType dtype) {
  return static_cast<const char*>(data) + elements * int64_t(dtypeBytes(dtype));
}

}  // namespace

// y may lie over base.
void lowRank(const Call& call, Context& context) {
  const Tensor &base = call.in[0], &x = call.in[1];
  const Branch branch(context, call.in + 2, x);
  const Factors& f = branch.f;
  const int64_t columns = f.stack() * f.rp;
  Scratch scratch(call.scratch);
  Stacked factors;
  factors.aBlocks = f.stack();
  factors.a = scratch.take(f.n * columns * f.in, branch.dtype);
  factors.b = scratch.take(f.out * columns, branch.dtype);
  void* h = scratch.take(branch.tokens() * columns, branch.dtype);
  if (f.up0) factors.add(kChange), factors.add(kStart);
  else factors.add(kTrained);
  branch.form(factors);
  const int64_t copies = f.n > 1 ? columns * f.in : 0;
  matmul(context, branch.perSample(x.data, f.in, factors.a, f.in, true, copies, h, columns, f.in, 1));
  Matmul up = branch.perSample(h, columns, factors.b, columns, true, 0, call.out[0].data, f.out, columns, float(call.attr[0]));
  if (base.data == up.c) up.beta = 1;
  else up.residual = base.data;
  matmul(context, up);
}

void lowRankVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &dy = call.in[8];
  const Branch branch(context, call.in + 1, x);
  const Factors& f = branch.f;
  const DType dtype = branch.dtype;
  void* dx = call.out[0].data;
  float *dUp = call.out[1].f32(), *dDown = call.out[2].f32(), *dLambda = call.out[3].f32();
  const float scale = float(call.attr[0]);
  const bool wantG = dDown || dLambda, ownF = wantG && (f.up0 || !dx);

  Stacked factors;
  factors.maskB = true;
  factors.aBlocks = dx ? f.stack() : dUp ? 1 : 0;
  if (dx && f.up0) factors.add(kChange), factors.add(kStart);
  if (ownF || (dx && !f.up0)) factors.add(kTrained);
  const int64_t rows = factors.aBlocks * f.rp, columns = factors.bBlocks * f.rp;
  Scratch scratch(call.scratch);
  factors.a = scratch.take(f.n * rows * f.in, dtype);
  factors.b = scratch.take(f.n * f.out * columns, dtype);
  void* e = scratch.take(branch.tokens() * columns, dtype);
  void* h = scratch.take(dUp ? branch.tokens() * f.rp : 0, dtype);
  float* g = dDown ? dDown : static_cast<float*>(scratch.take(dLambda ? f.r * f.in : 0, DType::f32));
  branch.form(factors);

  const int64_t copiesA = f.n > 1 ? rows * f.in : 0, copiesB = f.n > 1 ? f.out * columns : 0;
  if (e) matmul(context, branch.perSample(dy.data, f.out, factors.b, columns, false, copiesB, e, columns, f.out, scale));
  if (dx) matmul(context, branch.perSample(e, columns, factors.a, f.in, false, copiesA, dx, f.in, rows, 1));
  if (wantG) {
    branch.overTokens(offset(e, columns - f.rp, dtype), columns, x.data, f.in, g, f.r, f.in, 1);
    if (f.lambda) launch(context, finishDown, f.r, kThreads, f, g, dDown, dLambda);
  }
  if (dUp) {
    matmul(context, branch.perSample(x.data, f.in, factors.a, f.in, true, copiesA, h, f.rp, f.in, 1));
    branch.overTokens(dy.data, f.out, h, f.rp, dUp, f.out, f.r, scale);
  }
}

}  // namespace tlora::cuda
