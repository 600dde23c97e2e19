// y [rows, p + q] = [a | b]: rows of a [rows, p] and b [rows, q] beside each other.
#include "cuda/copyColumns.h"

namespace tlora::cuda {

void concat(const Call& call, Context& context) {
  const Tensor &a = call.in[0], &b = call.in[1], &y = call.out[0];
  copyColumns(context, &a, y, a.rows(), {a.last(), 0, y.last(), 0, a.last()});
  copyColumns(context, &b, y, b.rows(), {b.last(), 0, y.last(), a.last(), b.last()});
}

}  // namespace tlora::cuda
