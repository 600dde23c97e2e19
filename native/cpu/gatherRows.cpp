// y [n, c] = x[i, index[i]], x [n, t, c]; dx [n, t, c] is dy[i] in row index[i] and 0 elsewhere. An index outside is read
// as the nearest row, so that it never reaches memory outside.
#include <cstring>

#include "cpu/blocks.h"

namespace tlora::cpu {

void gatherRows(const Call& call, Context&) {
  const Tensor& x = call.in[0];
  const int64_t n = x.dims[0], t = x.dims[1], c = x.last();
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = std::clamp<int64_t>(call.in[1].i32()[i], 0, t - 1);
    std::memcpy(call.out[0].f32() + i * c, x.f32() + (i * t + row) * c, c * sizeof(float));
  }
}

void gatherRowsVjp(const Call& call, Context&) {
  const Tensor& dx = call.out[0];
  const int64_t n = dx.dims[0], t = dx.dims[1], c = dx.last();
  std::memset(dx.data, 0, dx.size() * sizeof(float));
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = std::clamp<int64_t>(call.in[0].i32()[i], 0, t - 1);
    std::memcpy(dx.f32() + (i * t + row) * c, call.in[1].f32() + i * c, c * sizeof(float));
  }
}

}  // namespace tlora::cpu
