// What a call of conv2d or conv2dVjp convolves, for the kernels of all backends.
#pragma once
#include "kernel.h"

namespace tlora {

// y [n, oh, ow, outs] = cross-correlation of x [n, h, w, c] with weight [outs, kh, kw, c]; zeros around x.
struct Conv2dShape {
  int64_t n = 0, h = 0, w = 0, c = 0;
  int64_t outs = 0, kh = 0, kw = 0;
  int64_t oh = 0, ow = 0;
  int64_t stride = 1, padTop = 0, padLeft = 0, padBottom = 0, padRight = 0;
};

// Attributes: stride, padding at top, left, bottom and right; of the gradient the height and width of x, too, which it may not be given.
inline Conv2dShape conv2dShapeOf(const Tensor& weight, const Tensor& y, int64_t height, int64_t width, const double* attr) {
  const auto whole = [&](int i) { return static_cast<int64_t>(attr[i]); };
  return {.n = y.dims[0],
          .h = height,
          .w = width,
          .c = weight.dims[3],
          .outs = weight.dims[0],
          .kh = weight.dims[1],
          .kw = weight.dims[2],
          .oh = y.dims[1],
          .ow = y.dims[2],
          .stride = whole(0),
          .padTop = whole(1),
          .padLeft = whole(2),
          .padBottom = whole(3),
          .padRight = whole(4)};
}

// Inputs x, weight, bias; output y.
inline Conv2dShape conv2dShape(const Call& call) {
  return conv2dShapeOf(call.in[1], call.out[0], call.in[0].dims[1], call.in[0].dims[2], call.attr);
}

// Inputs x or none, weight, dy; outputs dx, dw, db, each or none.
inline Conv2dShape conv2dVjpShape(const Call& call) {
  return conv2dShapeOf(call.in[1], call.in[2], static_cast<int64_t>(call.attr[5]), static_cast<int64_t>(call.attr[6]), call.attr);
}

}  // namespace tlora
