// q = the frame Q of g = Q R, positive diagonal of R; g [(layers,) m, r]. One task a matrix; float64 inside.
#include "core/kernel.h"
#include "householder.h"

namespace tlora::cpu {

void qrFrame(const Call& call, Context& context) {
  const Tensor& g = call.in[0];
  const int64_t r = g.last(), m = g.dims[g.rank - 2], matrices = g.size() / (m * r);
  const FrameLayout rows{r, 1}, out = call.attr[0] != 0 ? FrameLayout{1, m} : rows;
  const int64_t each = (m + 6) * paddedColumns(r);
  context.pool.run(matrices, [&](int64_t task, int thread) {
    double* scratch = static_cast<double*>(call.scratch) + thread * each;
    frameOf(g.f32() + task * m * r, rows, call.out[0].f32() + task * m * r, out, m, r, scratch);
  });
}

}  // namespace tlora::cpu
