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

#include "core/conv2d_shape.h"
#include "cpu/columnSums.h"
#include "cpu/gemm.h"
#include "cpu/winograd.h"
#include "cpu/winogradGradient.h"

namespace tlora::cpu {
namespace {

// x seen through the window, one patch for each pixel of y.
GemmMatrix patchesOfInput(const Conv2dShape& s, const Tensor& x) {
  const bool pointwise = s.kh == 1 && s.kw == 1 && s.h == s.oh && s.w == s.ow && s.stride == 1;
  if (pointwise) return rowsOf(x.f32(), s.c);
  return patchesOf({.picture = x.f32(),
                    .height = s.h,
                    .width = s.w,
                    .channels = s.c,
                    .patchRows = s.oh,
                    .patchColumns = s.ow,
                    .tapRows = s.kh,
                    .tapColumns = s.kw,
                    .padTop = s.padTop,
                    .padLeft = s.padLeft,
                    .step = s.stride});
}

// 3x3 windows of stride 1 and padding 1: y is as large as x.
bool isPlainThree(const Conv2dShape& s) {
  return s.kh == 3 && s.kw == 3 && s.stride == 1 && s.padTop == 1 && s.padLeft == 1 && s.padBottom == 1 && s.padRight == 1;
}

// Windows that winograd.h can do and does faster. dx is such a convolution of dy, if y is one of x.
bool takesWinograd(const Conv2dShape& s, const Tensor& from, const Tensor& to) {
  return isPlainThree(s) && winogradPays(to.dims[0], to.dims[1], to.dims[2], from.dims[3]);
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

void residueGradient(const Call& call, const Conv2dShape& s, Context& context, const Residue& rows, const Residue& columns, float* to) {
  const Tensor &w = call.in[1], &dy = call.in[2], &dx = call.out[0];
  const int64_t channels = dx.dims[3];
  std::vector<int64_t> tap;
  for (int64_t ty = rows.taps - 1; ty >= 0; ty--)
    for (int64_t tx = columns.taps - 1; tx >= 0; tx--)
      tap.push_back((rows.tap + ty * s.stride) * s.kw + columns.tap + tx * s.stride);
  const int64_t count = static_cast<int64_t>(tap.size());
  const Patches patches = {.picture = dy.f32(),
                           .height = s.oh,
                           .width = s.ow,
                           .channels = s.outs,
                           .patchRows = rows.count,
                           .patchColumns = columns.count,
                           .tapRows = rows.taps,
                           .tapColumns = columns.taps,
                           .padTop = rows.pad,
                           .padLeft = columns.pad};
  const Taps taps = {tap.data(), count, s.kh * s.kw, s.outs, s.c};
  gemm(context, s.n * rows.count * columns.count, channels, count * s.outs, patchesOf(patches), weightTaps(w, taps), to,
       channels);
}

// Stride 1 has one residue class, dx itself; others go through scratch memory of the largest class.
void dataGradient(const Call& call, Context& context) {
  const Tensor &w = call.in[1], &dy = call.in[2], &dx = call.out[0];
  const Conv2dShape s = conv2dVjpShape(call);
  if (takesWinograd(s, dy, dx)) {
    constexpr int64_t turned[] = {8, 7, 6, 5, 4, 3, 2, 1, 0};
    return winogradOf(context, dy, weightTaps(w, {turned, 9, 9, s.outs, s.c}), Tensor{}, dx);
  }
  for (int64_t y = 0; y < std::min(s.stride, s.h); y++) {
    for (int64_t x = 0; x < std::min(s.stride, s.w); x++) {
      const Residue rows(y, s.h, s.kh, s.padTop, s.stride);
      const Residue columns(x, s.w, s.kw, s.padLeft, s.stride);
      float* to = s.stride == 1 ? dx.f32() : static_cast<float*>(call.scratch);
      residueGradient(call, s, context, rows, columns, to);
      if (s.stride > 1) spread(context, to, dx, rows, columns, s.stride);
    }
  }
}

void weightGradient(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &dy = call.in[2], &dw = call.out[1];
  const Conv2dShape s = conv2dVjpShape(call);
  const int64_t depth = s.kh * s.kw * s.c;
  if (isPlainThree(s)) {
    const int64_t floats = winogradGradientFloats(s.n, s.h, s.w, s.c, s.outs);
    const WinogradGradient gradient = {x.f32(), dy.f32(), s.n, s.h, s.w, s.c, s.outs, dw.f32()};
    if (floats > 0) return winogradGradient(context, gradient, static_cast<float*>(call.scratch));
  }
  gemm(context, s.outs, depth, dy.rows(), columnsOf(dy.f32(), s.outs), patchesOfInput(s, x), dw.f32(), depth);
}

}  // namespace

void conv2d(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &w = call.in[1], &b = call.in[2], &y = call.out[0];
  const Conv2dShape s = conv2dShape(call);
  if (takesWinograd(s, x, y)) return winogradOf(context, x, weightTransposed(w), b, y);
  const GemmOptions options{.bias = b.f32()};
  gemm(context, y.rows(), s.outs, s.kh * s.kw * s.c, patchesOfInput(s, x), weightTransposed(w), y.f32(), s.outs, options);
}

void conv2dVjp(const Call& call, Context& context) {
  const Tensor &dy = call.in[2], &dx = call.out[0], &dw = call.out[1], &db = call.out[2];
  if (dx.present()) dataGradient(call, context);
  if (dw.present()) weightGradient(call, context);
  if (db.present()) columnSums(context, dy.f32(), dy.rows(), dy.last(), db.f32());
}

}  // namespace tlora::cpu
