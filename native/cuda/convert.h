// Small passes over memory that ops put before or behind a library's work.
#pragma once
#include "context.h"
#include "core/tensor.h"

namespace tlora::cuda {

// to[i] = from[i], rounded to nearest even; the two do not overlap.
void convert(Context& context, const void* from, DType fromType, void* to, DType toType, int64_t count);

// y [rows, columns] += b [columns], both of `dtype`, the sum in float32.
void addToRows(Context& context, DType dtype, void* y, int64_t rows, int64_t columns, const void* b);

// sums [columns], float32: the sum over the rows of y [rows, columns], in a fixed order. Uses the workspace behind the libraries'.
void columnSums(Context& context, const void* y, DType dtype, int64_t rows, int64_t columns, float* sums);

}  // namespace tlora::cuda
