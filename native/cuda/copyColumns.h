// y[r, to + k] = x[r, from + k] for k < columns and every row, where x has rows of `xWidth` and y of `yWidth` elements. Without x: 0.
#pragma once
#include "cuda/context.h"

namespace tlora::cuda {

struct Columns {
  int64_t xWidth, from, yWidth, to, columns;
};

void copyColumns(Context& context, const Tensor* x, const Tensor& y, int64_t rows, const Columns& at);

}  // namespace tlora::cuda
