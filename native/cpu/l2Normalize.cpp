// y = x rnorm, rnorm = 1 / sqrt(sum x^2 + eps) over the last axis; dx = rnorm (dy - y sum(y dy)). Sums in float64, in order;
// a chunk of rows is a task. y may lie over x, dx over y or dy.
#include <cmath>

#include "cpu/blocks.h"

namespace tlora::cpu {

namespace {

double dot(const float* a, const float* b, int64_t c) {
  double sum = 0;
  for (int64_t i = 0; i < c; i++) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

template <class Body>
void eachRow(Context& context, const Tensor& x, Body body) {
  const int64_t rows = x.rows(), step = chunkRows(x.last());
  context.pool.run(blocksOf(rows, step), [&](int64_t task, int) {
    for (int64_t r = task * step; r < std::min(rows, (task + 1) * step); r++) body(r);
  });
}

}  // namespace

void l2Normalize(const Call& call, Context& context) {
  const int64_t c = call.in[0].last();
  const double eps = call.attr[0];
  const float* x = call.in[0].f32();
  float *y = call.out[0].f32(), *rnorm = call.out[1].f32();
  eachRow(context, call.in[0], [&](int64_t r) {
    const double by = 1 / std::sqrt(dot(x + r * c, x + r * c, c) + eps);
    for (int64_t i = r * c; i < (r + 1) * c; i++) y[i] = static_cast<float>(x[i] * by);
    rnorm[r] = static_cast<float>(by);
  });
}

void l2NormalizeVjp(const Call& call, Context& context) {
  const int64_t c = call.in[0].last();
  const float *y = call.in[0].f32(), *rnorm = call.in[1].f32(), *dy = call.in[2].f32();
  float* dx = call.out[0].f32();
  eachRow(context, call.in[0], [&](int64_t r) {
    const double along = dot(y + r * c, dy + r * c, c);
    for (int64_t i = r * c; i < (r + 1) * c; i++) dx[i] = static_cast<float>(rnorm[r] * (dy[i] - y[i] * along));
  });
}

}  // namespace tlora::cpu
