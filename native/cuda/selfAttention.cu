// attention of the thirds of one tensor: qkv [n, t, 3c] has channels q | k | v, so that tokens of each lie 3c apart; o [n, t, c], lse
// [n, heads, t] float32. The gradient dqkv = dq | dk | dv is written in place in the same way: nothing is copied before or after.
// Kernels are attention's (attention.cu). k and v begin c and 2c elements after q: on 16 bytes, as tensor cores and cuDNN want it, where a
// head's width is a multiple of 8; what is not runs without either.
#include "cuda/attention.h"
#include "cuda/context.h"

namespace tlora::cuda {

namespace {

FusedAttention shapeOf(const Call& call) {
  const Tensor& qkv = call.in[0];
  const int64_t heads = int64_t(call.attr[0]), t = qkv.dims[1], row = qkv.dims[2];
  return {qkv.dtype, qkv.dims[0], heads, t, t, row / 3 / heads, false, row, row};
}

void* third(const Tensor& qkv, int part) { return static_cast<char*>(qkv.data) + part * (qkv.dims[2] / 3) * int64_t(dtypeBytes(qkv.dtype)); }

}  // namespace

void selfAttention(const Call& call, Context& context) {
  const Tensor& qkv = call.in[0];
  runAttention(context, shapeOf(call), third(qkv, 0), third(qkv, 1), third(qkv, 2), call.out[0].data, call.out[1].f32());
}

void selfAttentionVjp(const Call& call, Context& context) {
  const Tensor &qkv = call.in[0], &o = call.in[1], &lse = call.in[2], &dO = call.in[3], &dqkv = call.out[0];
  runAttentionVjp(context, shapeOf(call),
                  {third(qkv, 0), third(qkv, 1), third(qkv, 2), o.data, lse.f32(), dO.data, third(dqkv, 0), third(dqkv, 1), third(dqkv, 2)},
                  static_cast<float*>(call.scratch));
}

}  // namespace tlora::cuda
