// Re-orthonormalises matrices of a flat buffer in place; table [slices, 4]: offset, length, count, transposed. One task a matrix. Nothing
// is done when the loss or the norm, if given, is not finite.
#include <cmath>

#include "core/kernel.h"
#include "householder.h"

namespace tlora::cpu {

void retract(const Call& call, Context& context) {
  const Tensor& table = call.in[1];
  for (const Tensor& judged : {call.in[2], call.in[3]}) {
    if (judged.present() && !std::isfinite(judged.f32()[0])) return;
  }
  const int64_t longest = int64_t(call.attr[0]), widest = int64_t(call.attr[1]);
  const int64_t each = (longest + 6) * paddedColumns(widest);
  context.pool.run(table.dims[0], [&](int64_t task, int thread) {
    const int32_t* slice = table.i32() + 4 * task;
    const int64_t m = slice[1], r = slice[2];
    const FrameLayout layout = slice[3] != 0 ? FrameLayout{1, m} : FrameLayout{r, 1};
    float* p = call.out[0].f32() + slice[0];
    frameOf(p, layout, p, layout, m, r, static_cast<double*>(call.scratch) + thread * each);
  });
}

}  // namespace tlora::cpu
