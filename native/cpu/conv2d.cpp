// Convolution as a matrix product over the patches of the picture, which are gathered while packing: no patch matrix in
// memory. x [n, h, w, c], weight [o, kh, kw, c] frozen and packed or plain float32, y [n, oh, ow, o]. Sums in float32.
//   y  = patches(x) * weight^T + b
//   dx = patches(dy, window turned by 180 degrees, picture spread by the stride) * weight by taps
//   dw = dy^T * patches(x)      db = sum of dy over pixels
#include "core/kernel.h"
#include "cpu/columnSums.h"
#include "cpu/gemm.h"

namespace tlora::cpu {
namespace {

enum Attr { kStride, kPadTop, kPadLeft, kPadBottom, kPadRight, kHeight, kWidth };

int64_t attr(const Call& call, Attr which) { return static_cast<int64_t>(call.attr[which]); }

// x seen through the window of w, one patch for each pixel of y.
GemmMatrix patchesOfInput(const Call& call, const Tensor& x, const Tensor& w, const Tensor& y) {
  const bool pointwise = w.dims[1] == 1 && w.dims[2] == 1 && x.dims[1] == y.dims[1] && x.dims[2] == y.dims[2] &&
                         attr(call, kStride) == 1;
  if (pointwise) return rowsOf(x.f32(), x.last());
  return patchesOf({.picture = x.f32(),
                    .height = x.dims[1],
                    .width = x.dims[2],
                    .channels = x.dims[3],
                    .patchRows = y.dims[1],
                    .patchColumns = y.dims[2],
                    .tapRows = w.dims[1],
                    .tapColumns = w.dims[2],
                    .padTop = attr(call, kPadTop),
                    .padLeft = attr(call, kPadLeft),
                    .step = attr(call, kStride)});
}

// dy seen through the turned window, one patch for each pixel of x: pixel y of x meets pixel
// (y + padTop - ky) / stride of dy for each tap ky, and ky = kh - 1 - (tap of the turned window).
void dataGradient(const Call& call, Context& context, const Tensor& w, const Tensor& dy, const Tensor& dx) {
  const int64_t outs = w.dims[0], taps = w.dims[1] * w.dims[2], channels = w.dims[3];
  const Patches patches = {.picture = dy.f32(),
                           .height = dy.dims[1],
                           .width = dy.dims[2],
                           .channels = outs,
                           .patchRows = dx.dims[1],
                           .patchColumns = dx.dims[2],
                           .tapRows = w.dims[1],
                           .tapColumns = w.dims[2],
                           .padTop = w.dims[1] - 1 - attr(call, kPadTop),
                           .padLeft = w.dims[2] - 1 - attr(call, kPadLeft),
                           .divide = attr(call, kStride)};
  gemm(context, dx.rows(), channels, taps * outs, patchesOf(patches), weightTaps(w, outs, taps, channels), dx.f32(), channels);
}

}  // namespace

void conv2d(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &b = call.in[2], &y = call.out[0];
  const int64_t outs = w.dims[0], depth = w.size() / outs;
  const GemmOptions options{.bias = b.f32()};
  gemm(context, y.rows(), outs, depth, patchesOfInput(call, x, w, y), weightTransposed(w), y.f32(), outs, options);
}

void conv2dVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &dy = call.in[2];
  const Tensor &dx = call.out[0], &dw = call.out[1], &db = call.out[2];
  const int64_t outs = w.dims[0], depth = w.size() / outs;
  if (dx.present()) dataGradient(call, context, w, dy, dx);
  if (dw.present())
    gemm(context, outs, depth, dy.rows(), columnsOf(dy.f32(), outs), patchesOfInput(call, x, w, dy), dw.f32(), depth);
  if (db.present()) columnSums(context, dy.f32(), dy.rows(), outs, db.f32());
}

}  // namespace tlora::cpu
