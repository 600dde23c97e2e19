// The twin of native/cuda/convolution.cpp: sums over the window and the channels in float32, directly.
#include "cuda/convolution.h"

#include "cuda/shapeText.h"
#include "emulatedLibraries.h"

namespace tlora::cuda {
namespace {

// Calls body(pixel of y, tap, pixel of x) for all that meet; pixels and taps by number.
template <class Body>
void eachPair(const Convolution& s, Body body) {
  for (int64_t image = 0; image < s.n; image++)
    for (int64_t y = 0; y < s.oh; y++)
      for (int64_t x = 0; x < s.ow; x++)
        for (int64_t ky = 0; ky < s.kh; ky++)
          for (int64_t kx = 0; kx < s.kw; kx++) {
            const int64_t row = y * s.stride + ky - s.padTop, column = x * s.stride + kx - s.padLeft;
            if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
            body((image * s.oh + y) * s.ow + x, ky * s.kw + kx, (image * s.h + row) * s.w + column);
          }
}

int64_t pixels(const Convolution& s) { return s.n * s.h * s.w; }
int64_t outPixels(const Convolution& s) { return s.n * s.oh * s.ow; }
int64_t weights(const Convolution& s) { return s.outs * s.kh * s.kw * s.c; }

void put(const std::vector<float>& values, void* to, DType dtype) {
  for (size_t i = 0; i < values.size(); i++) putFloat(to, dtype, int64_t(i), values[i]);
}

void queue(Context& context, const Convolution& s, const char* work, std::initializer_list<const void*> tensors, std::function<void()> body) {
  if (s.dtype == DType::i32) fail(kDevice, "a convolution of integers");
  const std::string shape = textOf(context, s, work);
  if (!isPointwise(s)) expectAligned(shape, tensors);
  runEmulated(context, {shape, body, [&] { return body; }, {}});
}

}  // namespace

void convolutionForward(Context& context, const Convolution& s, const void* x, const void* weight, const Added& added, void* y) {
  const bool tf32 = context.tf32;
  const void *bias = added.bias, *residual = added.residual;
  if (residual == y) fail(kDevice, "a convolution over its residual");
  const char* work = residual ? "forward with residual and bias" : bias ? "forward with bias" : "forward";
  queue(context, s, work, {x, weight, bias, residual, y}, [=] {
    const std::vector<float> picture = floatsOf(x, s.dtype, pixels(s) * s.c, tf32);
    const std::vector<float> w = floatsOf(weight, s.dtype, weights(s), tf32);
    std::vector<float> byTap(w.size()), out(size_t(outPixels(s) * s.outs));  // byTap [kh, kw, c, outs]
    const int64_t depth = s.kh * s.kw * s.c;
    for (int64_t o = 0; o < s.outs; o++)
      for (int64_t i = 0; i < depth; i++) byTap[size_t(i * s.outs + o)] = w[size_t(o * depth + i)];
    eachPair(s, [&](int64_t to, int64_t tap, int64_t from) {
      float* sums = out.data() + to * s.outs;
      for (int64_t c = 0; c < s.c; c++) {
        const float factor = picture[size_t(from * s.c + c)];
        const float* row = byTap.data() + (tap * s.c + c) * s.outs;
        for (int64_t o = 0; o < s.outs; o++) sums[o] += factor * row[o];
      }
    });
    if (bias)
      for (size_t i = 0; i < out.size(); i++) out[i] += floatAt(bias, s.dtype, int64_t(i) % s.outs);
    if (residual)
      for (size_t i = 0; i < out.size(); i++) out[i] += floatAt(residual, s.dtype, int64_t(i));
    put(out, y, s.dtype);
  });
}

void convolutionDataGradient(Context& context, const Convolution& s, const void* dy, const void* weight, void* dx) {
  const bool tf32 = context.tf32;
  queue(context, s, "data gradient", {dy, weight, dx}, [=] {
    const std::vector<float> gradient = floatsOf(dy, s.dtype, outPixels(s) * s.outs, tf32);
    const std::vector<float> w = floatsOf(weight, s.dtype, weights(s), tf32);
    std::vector<float> out(size_t(pixels(s) * s.c));
    eachPair(s, [&](int64_t from, int64_t tap, int64_t to) {
      for (int64_t o = 0; o < s.outs; o++) {
        const float factor = gradient[size_t(from * s.outs + o)];
        const float* row = w.data() + (o * s.kh * s.kw + tap) * s.c;
        for (int64_t c = 0; c < s.c; c++) out[size_t(to * s.c + c)] += factor * row[c];
      }
    });
    put(out, dx, s.dtype);
  });
}

void convolutionWeightGradient(Context& context, const Convolution& s, const void* x, const void* dy, float* dw) {
  const bool tf32 = context.tf32;
  queue(context, s, "weight gradient", {x, dy, dw}, [=] {
    const std::vector<float> picture = floatsOf(x, s.dtype, pixels(s) * s.c, tf32);
    const std::vector<float> gradient = floatsOf(dy, s.dtype, outPixels(s) * s.outs, tf32);
    std::vector<float> out(size_t(weights(s)));
    eachPair(s, [&](int64_t pixel, int64_t tap, int64_t from) {
      for (int64_t o = 0; o < s.outs; o++) {
        const float factor = gradient[size_t(pixel * s.outs + o)];
        for (int64_t c = 0; c < s.c; c++) out[size_t((o * s.kh * s.kw + tap) * s.c + c)] += factor * picture[size_t(from * s.c + c)];
      }
    });
    put(out, dw, DType::f32);
  });
}

}  // namespace tlora::cuda
