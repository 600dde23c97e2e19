// y = x[..., start:end] on the last axis; dx is dy in these columns and 0 elsewhere.
#include "cuda/copyColumns.h"

namespace tlora::cuda {

void slice(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &y = call.out[0];
  copyColumns(context, &x, y, x.rows(), {x.last(), int64_t(call.attr[0]), y.last(), 0, y.last()});
}

void sliceVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[0], &dx = call.out[0];
  const int64_t start = int64_t(call.attr[0]), end = start + dy.last(), rows = dy.rows();
  copyColumns(context, &dy, dx, rows, {dy.last(), 0, dx.last(), start, dy.last()});
  if (start > 0) copyColumns(context, nullptr, dx, rows, {0, 0, dx.last(), 0, start});
  if (end < dx.last()) copyColumns(context, nullptr, dx, rows, {0, 0, dx.last(), end, dx.last() - end});
}

}  // namespace tlora::cuda
