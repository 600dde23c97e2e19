// Shapes of library calls as text: the keys of choices and plans, and what errors name.
#pragma once
#include <string>

#include "context.h"
#include "convolution.h"
#include "fusedAttention.h"
#include "matmul.h"

namespace tlora::cuda {

// Bytes on which every row of every product of an operand lies, 64 at most: all that a plan promises. The bias begins on its own, and counts,
// as algorithms are chosen by where it lies, too.
struct MatmulAlignment {
  explicit MatmulAlignment(const Matmul& product);
  int a, b, c, residual, bias;  // what is absent: as c
};

std::string textOf(const Context& context, const Matmul& product);
// `work`: forward, data gradient or weight gradient, and what is fused with it.
std::string textOf(const Context& context, const Convolution& shape, const char* work);
std::string textOf(const FusedAttention& shape, const char* work);

// 1 x 1 windows on every pixel: a product of the pixels as rows.
bool isPointwise(const Convolution& shape);

}  // namespace tlora::cuda
