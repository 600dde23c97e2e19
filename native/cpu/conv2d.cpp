// Convolution as a matrix product over the patches of the picture, which are gathered while packing: no patch matrix in
// memory. x [n, h, w, c], weight [o, kh, kw, c] frozen and packed or plain float32, y [n, oh, ow, o]. Sums in float32.
//   y  = patches(x) * weight^T + b
//   dx = patches(dy, window turned by 180 degrees) * weight by taps, for each residue of dx's pixels modulo the stride; dx may
//        have the first channels only
//   dw = dy^T * patches(x)      db = sum of dy over pixels
// y, dx and dw of large enough 3x3 windows take fewer products (winograd.h, winogradGradient.h).
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/kernel.h"
#include "cpu/columnSums.h"
#include "cpu/gemm.h"
#include "cpu/winograd.h"
#include "cpu/winogradGradient.h"

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

// 3x3 windows of stride 1 and padding 1: y is as large as x.
bool isPlainThree(const Call& call, const Tensor& w) {
  const bool one = attr(call, kStride) == 1 && attr(call, kPadTop) == 1 && attr(call, kPadLeft) == 1 &&
                   attr(call, kPadBottom) == 1 && attr(call, kPadRight) == 1;
  return one && w.dims[1] == 3 && w.dims[2] == 3;
}

// Windows that winograd.h can do and does faster. dx is such a convolution of dy, if y is one of x.
bool takesWinograd(const Call& call, const Tensor& w, const Tensor& from, const Tensor& to) {
  return isPlainThree(call, w) &&
         winogradPays(to.dims[0], to.dims[1], to.dims[2], from.dims[3]);
}

void winogradOf(Context& context, const Tensor& from, const GemmMatrix& weight, const Tensor& bias, const Tensor& to) {
  winograd(context, {.x = from.f32(),
                     .images = to.dims[0],
                     .height = to.dims[1],
                     .width = to.dims[2],
                     .channels = from.dims[3],
                     .outs = to.dims[3],
                     .b = weight,
                     .bias = bias.f32(),
                     .y = to.f32()});
}

// The pixels p = first + i * stride of one direction of dx, i in [0, count), and the taps k that reach them: pixel p meets
// pixel (p + pad - k) / stride of dy, so k = tap + t * stride for t in [0, taps). In the turned window, tap t comes
// taps - 1 - t th, and the window of i begins at pixel i - pad of dy.
struct Residue {
  int64_t first, count, tap, taps, pad;
  Residue(int64_t first, int64_t size, int64_t window, int64_t pad, int64_t stride)
      : first(first),
        count(ceilDiv(size - first, stride)),
        tap((first + pad) % stride),
        taps(std::max<int64_t>(0, ceilDiv(window - tap, stride))),
        pad(taps - 1 - (first + pad) / stride) {}
  static int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
};

// Copies pixels of one residue class [n, rows.count, columns.count, c] to their places in dx.
void spread(Context& context, const float* from, const Tensor& dx, const Residue& rows, const Residue& columns,
            int64_t stride) {
  const int64_t width = dx.dims[2], channels = dx.dims[3];
  context.pool.run(dx.dims[0] * rows.count, [&](int64_t task, int) {
    const int64_t image = task / rows.count, y = rows.first + task % rows.count * stride;
    for (int64_t i = 0; i < columns.count; i++)
      std::memcpy(dx.f32() + ((image * dx.dims[1] + y) * width + columns.first + i * stride) * channels,
                  from + (task * columns.count + i) * channels, channels * sizeof(float));
  });
}

void residueGradient(const Call& call, Context& context, const Residue& rows, const Residue& columns, float* to) {
  const Tensor &w = call.in[1], &dy = call.in[2], &dx = call.out[0];
  const int64_t stride = attr(call, kStride), outs = w.dims[0], channels = dx.dims[3];
  std::vector<int64_t> tap;
  for (int64_t ty = rows.taps - 1; ty >= 0; ty--)
    for (int64_t tx = columns.taps - 1; tx >= 0; tx--)
      tap.push_back((rows.tap + ty * stride) * w.dims[2] + columns.tap + tx * stride);
  const int64_t count = static_cast<int64_t>(tap.size());
  const Patches patches = {.picture = dy.f32(),
                           .height = dy.dims[1],
                           .width = dy.dims[2],
                           .channels = outs,
                           .patchRows = rows.count,
                           .patchColumns = columns.count,
                           .tapRows = rows.taps,
                           .tapColumns = columns.taps,
                           .padTop = rows.pad,
                           .padLeft = columns.pad};
  const Taps taps = {tap.data(), count, w.dims[1] * w.dims[2], outs, w.dims[3]};
  gemm(context, dx.dims[0] * rows.count * columns.count, channels, count * outs, patchesOf(patches), weightTaps(w, taps), to,
       channels);
}

// Stride 1 has one residue class, dx itself; others go through scratch memory of the largest class.
void dataGradient(const Call& call, Context& context) {
  const Tensor &w = call.in[1], &dy = call.in[2], &dx = call.out[0];
  const int64_t stride = attr(call, kStride);
  if (takesWinograd(call, w, dy, dx)) {
    constexpr int64_t turned[] = {8, 7, 6, 5, 4, 3, 2, 1, 0};
    return winogradOf(context, dy, weightTaps(w, {turned, 9, 9, w.dims[0], w.dims[3]}), Tensor{}, dx);
  }
  for (int64_t y = 0; y < std::min(stride, dx.dims[1]); y++) {
    for (int64_t x = 0; x < std::min(stride, dx.dims[2]); x++) {
      const Residue rows(y, dx.dims[1], w.dims[1], attr(call, kPadTop), stride);
      const Residue columns(x, dx.dims[2], w.dims[2], attr(call, kPadLeft), stride);
      float* to = stride == 1 ? dx.f32() : static_cast<float*>(call.scratch);
      residueGradient(call, context, rows, columns, to);
      if (stride > 1) spread(context, to, dx, rows, columns, stride);
    }
  }
}

void weightGradient(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &dy = call.in[2], &dw = call.out[1];
  const int64_t outs = w.dims[0], depth = w.size() / outs;
  if (isPlainThree(call, w)) {
    const int64_t floats = winogradGradientFloats(x.dims[0], x.dims[1], x.dims[2], x.dims[3], outs);
    const WinogradGradient gradient = {x.f32(), dy.f32(), x.dims[0], x.dims[1], x.dims[2], x.dims[3], outs, dw.f32()};
    if (floats > 0) return winogradGradient(context, gradient, static_cast<float*>(call.scratch));
  }
  gemm(context, outs, depth, dy.rows(), columnsOf(dy.f32(), outs), patchesOfInput(call, x, w, dy), dw.f32(), depth);
}

}  // namespace

void conv2d(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &b = call.in[2], &y = call.out[0];
  if (takesWinograd(call, w, x, y)) return winogradOf(context, x, weightTransposed(w), b, y);
  const int64_t outs = w.dims[0], depth = w.size() / outs;
  const GemmOptions options{.bias = b.f32()};
  gemm(context, y.rows(), outs, depth, patchesOfInput(call, x, w, y), weightTransposed(w), y.f32(), outs, options);
}

void conv2dVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[2], &dx = call.out[0], &dw = call.out[1], &db = call.out[2];
  if (dx.present()) dataGradient(call, context);
  if (dw.present()) weightGradient(call, context);
  if (db.present()) columnSums(context, dy.f32(), dy.rows(), dy.last(), db.f32());
}

}  // namespace tlora::cpu
