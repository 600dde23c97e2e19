// The masked low-rank branch: y = base + scale * (P M L Q x - P0 M L0 Q0 x), and its gradients. Float32.
//   x [n, t, in], base, y, dy [n, t, out], P = up [out, r], Q = down [r, in], L = diag(lambda [r]); index 0: the frozen start.
//
// Difference form: dW = (P - P0) M L Q + P0 M (L Q - L0 Q0). Both stacked factors are formed here, component by component:
//   sA [2a, in]: row 2j = L Q, row 2j + 1 = L Q - L0 Q0;   sB [out, 2a]: column 2j = P - P0, column 2j + 1 = P0.
// Trained and frozen parts that are equal give factors of exact zeros, hence exactly no change. Because the two rows of a
// component lie together, the mask of a sample (its first `active` components) is a prefix: masked components are not
// computed at all. Without a start (plain LoRA) the stack is 1 and the factors are read where they are.
// Neighbouring samples of equal rank share one product.
#include <algorithm>
#include <cstring>
#include <vector>

#include "blocks.h"
#include "gemm.h"
#include "lowRankFactors.h"
#include "simd.h"

namespace tlora::cpu {
namespace {

// Samples with the same number of active components, as rows of x and y.
struct Run {
  int64_t row, rows, active;
};

std::vector<Run> runsOf(const Tensor& x, const Tensor& activeRank, int64_t r) {
  std::vector<Run> runs;
  for (int64_t i = 0; i < x.dims[0]; i++) {
    const int64_t active = std::clamp<int64_t>(activeRank.i32()[i], 0, r);
    if (!runs.empty() && runs.back().active == active)
      runs.back().rows += x.dims[1];
    else
      runs.push_back({i * x.dims[1], x.dims[1], active});
  }
  return runs;
}

int64_t mostActive(const std::vector<Run>& runs) {
  int64_t most = 0;
  for (const Run& run : runs) most = std::max(most, run.active);
  return most;
}

struct Dot {
  template <int W>
  TLORA_INLINE static void run(const float* a, const float* b, int64_t n, float* sum) {
    Vec<W> lanes = fill<W>(0);
    eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
      lanes += load<W>(a + i, part) * load<W>(b + i, part);
    });
    *sum = sumLanes(lanes);
  }
};

// sum [rows, active] = both columns of each component of e [rows, 2 * active]
void addPairs(Context& context, const float* e, float* sum, int64_t count) {
  eachBlock(context, count, [&](int64_t begin, int64_t length) {
    for (int64_t i = begin; i < begin + length; i++) sum[i] = e[2 * i] + e[2 * i + 1];
  });
}

}  // namespace

// h = x sA^T [rows, stack * active]; y = base + scale * h sB^T. y may lie over base.
void lowRank(const Call& call, Context& context) {
  const Tensor& x = call.in[1];
  const Factors f = factorsOf(call.in + 2);
  const std::vector<Run> runs = runsOf(x, call.in[8], f.r);
  const int64_t most = mostActive(runs);
  float* y = call.out[0].f32();
  if (const float* base = call.in[0].f32(); y != base)
    eachBlock(context, call.out[0].size(), [&](int64_t begin, int64_t count) {
      std::memcpy(y + begin, base + begin, sizeof(float) * count);
    });
  if (most == 0) return;

  const bool start = f.up0 != nullptr;
  Blocks blocks(call.scratch);
  float* h = blocks.take(x.rows() * f.stack() * f.r);
  float* sA = start ? blocks.take(2 * f.r * f.in) : nullptr;
  float* sB = start ? blocks.take(2 * f.r * f.out) : nullptr;
  if (start) {
    formDown(context, f, most, sA);
    formUp(context, f, most, sB);
  }
  const GemmMatrix down = start ? columnsOf(sA, f.in) : columnsOf(f.down, f.in);
  const GemmMatrix up = start ? columnsOf(sB, 2 * most) : columnsOf(f.up, f.r);
  for (const Run& run : runs) {
    const int64_t width = f.stack() * run.active;
    if (width == 0) continue;
    gemm(context, run.rows, width, f.in, rowsOf(x.f32() + run.row * f.in, f.in), down, h, width,
         {.columnScale = start ? nullptr : f.lambda});
    gemm(context, run.rows, f.out, width, rowsOf(h, width), up, y + run.row * f.out, f.out,
         {.accumulate = true, .scale = static_cast<float>(call.attr[0])});
  }
}

namespace {

// What the wanted gradients work in: the blocks of scratchBytes in lib/ops, in the same order. nullptr: not needed.
struct VjpSpace {
  float *sA, *sB, *e, *f, *h, *g;
  VjpSpace(const Call& call, const Factors& factors) {
    Blocks blocks(call.scratch);
    const int64_t rows = call.in[0].rows(), r = factors.r, stack = factors.stack();
    const auto take = [&](bool needed, int64_t count) { return needed ? blocks.take(count) : nullptr; };
    const bool dx = call.out[0].data, dUp = call.out[1].data, dDown = call.out[2].data, dLambda = call.out[3].data;
    sA = take(dx && factors.lambda, stack * r * factors.in);
    sB = take(dx && stack == 2, 2 * r * factors.out);
    e = take(dx, rows * stack * r);
    f = take((dDown || dLambda) && (stack == 2 || !dx), rows * r);
    h = take(dUp, rows * r);
    g = dDown ? call.out[2].f32() : take(dLambda, r * factors.in);
  }
};

struct Vjp {
  Context& context;
  Factors f;
  VjpSpace space;
  float scale;
  int64_t most;  // the largest active rank
  const float *x, *dy;
  float *dx, *dUp;

  // E = scale * dy sB [rows, stack * active]; dx = E sA
  void inputGradient(const Run& run) const {
    float* to = dx + run.row * f.in;
    if (run.active == 0) {
      std::memset(to, 0, sizeof(float) * run.rows * f.in);
      return;
    }
    const int64_t width = f.stack() * run.active;
    const GemmMatrix up = space.sB ? rowsOf(space.sB, 2 * most) : rowsOf(f.up, f.r);
    const GemmMatrix down = rowsOf(space.sA ? space.sA : f.down, f.in);
    gemm(context, run.rows, width, f.out, rowsOf(dy + run.row * f.out, f.out), up, space.e, width, {.scale = scale});
    gemm(context, run.rows, f.in, width, rowsOf(space.e, width), down, to, f.in);
  }

  // F = scale * dy P [rows, active], which is the sum of E's pairs; G += F^T x [active, in]
  void downGradient(const Run& run) const {
    const int64_t active = run.active;
    if (!dx)
      gemm(context, run.rows, active, f.out, rowsOf(dy + run.row * f.out, f.out), rowsOf(f.up, f.r), space.f, active,
           {.scale = scale});
    else if (space.f)
      addPairs(context, space.e, space.f, run.rows * active);
    gemm(context, active, f.in, run.rows, columnsOf(space.f ? space.f : space.e, active),
         rowsOf(x + run.row * f.in, f.in), space.g, f.in, {.accumulate = true});
  }

  // H = x (L Q)^T [rows, active]; dP += scale * dy^T H
  void upGradient(const Run& run) const {
    const int64_t active = run.active;
    gemm(context, run.rows, active, f.in, rowsOf(x + run.row * f.in, f.in), columnsOf(f.down, f.in), space.h, active,
         {.columnScale = f.lambda});
    gemm(context, f.out, active, run.rows, columnsOf(dy + run.row * f.out, f.out), rowsOf(space.h, active), dUp, f.r,
         {.accumulate = true, .scale = scale});
  }

  // dL = rowdot(Q, G); dQ = L G, in place
  void finish(float* dDown, float* dLambda) const {
    eachOf(context, most, f.in, [&](int64_t j) {
      float* row = space.g + j * f.in;
      if (dLambda) simd<Dot>(f.down + j * f.in, static_cast<const float*>(row), f.in, dLambda + j);
      if (dDown && f.lambda) simd<ScaleRow>(static_cast<const float*>(row), f.lambda[j], row, f.in);
    });
  }
};

}  // namespace

// Sums over runs of samples, one after the other. Gradients of components that no sample uses stay 0.
void lowRankVjp(const Call& call, Context& context) {
  const Tensor& x = call.in[0];
  const Factors f = factorsOf(call.in + 1);
  const std::vector<Run> runs = runsOf(x, call.in[7], f.r);
  float *dx = call.out[0].f32(), *dUp = call.out[1].f32(), *dDown = call.out[2].f32(), *dLambda = call.out[3].f32();
  const float scale = static_cast<float>(call.attr[0]);
  const Vjp vjp{context, f, VjpSpace(call, f), scale, mostActive(runs), x.f32(), call.in[8].f32(), dx, dUp};
  if (dUp) std::memset(dUp, 0, sizeof(float) * f.out * f.r);
  if (vjp.space.g) std::memset(vjp.space.g, 0, sizeof(float) * f.r * f.in);
  if (dLambda) std::memset(dLambda, 0, sizeof(float) * f.r);
  if (vjp.space.sA) formDown(context, f, vjp.most, vjp.space.sA);
  if (vjp.space.sB) formUp(context, f, vjp.most, vjp.space.sB);
  for (const Run& run : runs) {
    if (dx) vjp.inputGradient(run);
    if (run.active == 0) continue;
    if (vjp.space.g) vjp.downGradient(run);
    if (dUp) vjp.upGradient(run);
  }
  if (vjp.space.g) vjp.finish(dDown, dLambda);
}

}  // namespace tlora::cpu
