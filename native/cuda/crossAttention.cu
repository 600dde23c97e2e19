// attention of q [n, tq, c] to the halves of one tensor: kv [n, tk, 2c] has channels k | v, so that tokens of each lie 2c apart; o
// [n, tq, c], lse [n, heads, tq] float32. The gradient dkv = dk | dv is written in place in the same way, as selfAttention.cu does it.
#include "cuda/attention.h"
#include "cuda/context.h"

namespace tlora::cuda {

namespace {

FusedAttention shapeOf(const Call& call) {
  const Tensor &q = call.in[0], &kv = call.in[1];
  const int64_t heads = int64_t(call.attr[0]), c = q.dims[2];
  return {q.dtype, q.dims[0], heads, q.dims[1], kv.dims[1], c / heads, false, c, 2 * c};
}

// nullptr of a gradient that nobody wants.
void* values(const Tensor& kv) { return kv.data ? static_cast<char*>(kv.data) + kv.dims[2] / 2 * int64_t(dtypeBytes(kv.dtype)) : nullptr; }

}  // namespace

void crossAttention(const Call& call, Context& context) {
  const Tensor &q = call.in[0], &kv = call.in[1];
  runAttention(context, shapeOf(call), q.data, kv.data, values(kv), call.out[0].data, call.out[1].f32());
}

void crossAttentionVjp(const Call& call, Context& context) {
  const Tensor &q = call.in[0], &kv = call.in[1], &o = call.in[2], &lse = call.in[3], &dO = call.in[4], &dq = call.out[0], &dkv = call.out[1];
  runAttentionVjp(context, shapeOf(call),
                  {q.data, kv.data, values(kv), o.data, lse.f32(), dO.data, dq.data, dkv.data, values(dkv)},
                  static_cast<float*>(call.scratch));
}

}  // namespace tlora::cuda
