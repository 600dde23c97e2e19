// y = x V^T + b and dx = dy V with V = W + scale * dW: a frozen weight and its masked low-rank change (lowRank.cpp) in one
// matrix [out, in], float32, made anew in scratch memory. x [rows, in], dy [rows, out], W frozen and packed, or plain float32.
// dW is a product of exact zeros at the start, which leaves W's bits. The rank of the first sample holds for all.
#include <cstring>

#include "core/kernel.h"
#include "cpu/gemm.h"
#include "cpu/gemmPack.h"
#include "cpu/lowRankFactors.h"

namespace tlora::cpu {
namespace {

constexpr int64_t kRows = 64;  // of W, widened by one task

// to [rows, in] = rows of W from `row` on. A packed weight is read in panels of 16 columns.
void widenRows(const Tensor& w, int64_t row, int64_t rows, float* to) {
  const int64_t in = w.last();
  if (!w.packed) {
    std::memcpy(to, w.f32() + row * in, sizeof(float) * rows * in);
    return;
  }
  const GemmMatrix matrix = weightOf(w);
  float panel[kRows * kPanel];
  for (int64_t j = 0; j < in; j += kPanel) {
    const int64_t count = std::min(kPanel, in - j);
    packPanels(matrix, j, count, row, rows, panel);
    for (int64_t i = 0; i < rows; i++) std::memcpy(to + i * in + j, panel + i * kPanel, sizeof(float) * count);
  }
}

// V in the blocks of scratchBytes in lib/ops: V, sA, sB.
const float* merge(const Call& call, Context& context, const Tensor& w, const Factors& f, const Tensor& activeRank) {
  Blocks blocks(call.scratch);
  float* v = blocks.take(f.out * f.in);
  float* sA = f.lambda ? blocks.take(f.stack() * f.r * f.in) : nullptr;
  float* sB = f.up0 ? blocks.take(2 * f.r * f.out) : nullptr;
  context.pool.run(blocksOf(f.out, kRows), [&](int64_t task, int) {
    const int64_t row = task * kRows;
    widenRows(w, row, std::min(kRows, f.out - row), v + row * f.in);
  });
  const int64_t active = std::clamp<int64_t>(activeRank.i32()[0], 0, f.r);
  if (active == 0) return v;
  if (sA) formDown(context, f, active, sA);
  if (sB) formUp(context, f, active, sB);
  const GemmMatrix up = sB ? rowsOf(sB, 2 * active) : rowsOf(f.up, f.r), down = rowsOf(sA ? sA : f.down, f.in);
  gemm(context, f.out, f.in, f.stack() * active, up, down, v, f.in,
       {.accumulate = true, .scale = static_cast<float>(call.attr[0])});
  return v;
}

}  // namespace

void mergedLinear(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &b = call.in[2], &y = call.out[0];
  const float* v = merge(call, context, call.in[1], factorsOf(call.in + 3), call.in[9]);
  gemm(context, x.rows(), y.last(), x.last(), rowsOf(x.f32(), x.last()), columnsOf(v, x.last()), y.f32(), y.last(),
       {.bias = b.f32()});
}

void mergedLinearVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[8], &dx = call.out[0];
  const float* v = merge(call, context, call.in[0], factorsOf(call.in + 1), call.in[7]);
  gemm(context, dy.rows(), dx.last(), dy.last(), rowsOf(dy.f32(), dy.last()), rowsOf(v, dx.last()), dx.f32(), dx.last());
}

}  // namespace tlora::cpu
