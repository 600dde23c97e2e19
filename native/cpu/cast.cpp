// y = x in another of the types float32, float16 and bfloat16, rounded to nearest even.
#include "core/half.h"
#include "cpu/blocks.h"

namespace tlora::cpu {

void cast(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  eachBlock(context, x.size(), [&](int64_t first, int64_t n) {
    for (int64_t i = first; i < first + n; i++) putFloat(y.data, y.dtype, i, floatAt(x.data, x.dtype, i));
  });
}

}  // namespace tlora::cpu
