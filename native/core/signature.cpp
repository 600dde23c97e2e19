#include "signature.h"

#include <algorithm>
#include <cctype>

#include "conv2d_shape.h"
#include "shape_rule.h"

namespace tlora {
namespace {

struct Signature {
  const char *op, *inputs, *outputs;
  int attrs;
  const char* sizes;
};

constexpr Signature kSignatures[] = {
#define TLORA_OP(name, inputs, outputs, attrs, sizes) {#name, inputs, outputs, attrs, sizes},
#define TLORA_CPU_OP(...) TLORA_OP(__VA_ARGS__)
#define TLORA_CUDA_OP(...) TLORA_OP(__VA_ARGS__)
#include "ops.def"
#undef TLORA_OP
};

std::string countMisfit(const char* what, size_t expected, int got) {
  if (expected == static_cast<size_t>(got)) return "";
  return "expected " + std::to_string(expected) + " " + what + "s, got " + std::to_string(got);
}

const char* expectedType(char letter, bool cpu) {
  if (letter == 'i') return "int32";
  if (letter == 'n') return "int32 or float32";
  return cpu && (letter == 'f' || letter == 'm') ? "float32" : "a float type";
}

bool typeFits(char letter, const Tensor& t, bool cpu) {
  if (letter == 'i') return t.dtype == DType::i32;
  if (letter == 'n') return t.dtype == DType::i32 || t.dtype == DType::f32;
  if (t.dtype == DType::i32) return false;
  return t.dtype == DType::f32 || !cpu || t.packed != nullptr || letter == 'h' || letter == 'w';
}

std::string tensorMisfit(char given, const Tensor& t, bool cpu) {
  static constexpr const char* kTypes[] = {"float32", "f16", "bf16", "int32"};
  const char letter = static_cast<char>(tolower(given));
  if (!t.present()) return letter != given ? "" : "expected one, got none";
  if (t.packed && letter != 'm' && letter != 'w') return "expected a plain tensor, got a packed matrix";
  if (typeFits(letter, t, cpu)) return "";
  return std::string("expected ") + expectedType(letter, cpu) + ", got " + kTypes[static_cast<int>(t.dtype)];
}

// Letters that come once, and those in the brackets at the end.
struct Letters {
  std::string once, repeated;
  explicit Letters(const std::string& given) : once(given.substr(0, given.find('('))) {
    if (once.size() < given.size()) repeated = given.substr(once.size() + 1, given.size() - once.size() - 2);
  }
  // How often those in brackets are meant, of `count` tensors.
  int times(int count) const {
    return repeated.empty() ? 0 : std::max(1, (count - static_cast<int>(once.size())) / static_cast<int>(repeated.size()));
  }
  std::string all(int times) const {
    std::string letters = once;
    for (int i = 0; i < times; i++) letters += repeated;
    return letters;
  }
};

std::string listMisfit(const char* what, const std::string& letters, const Tensor* tensors, int count, bool cpu) {
  const std::string wrong = countMisfit(what, letters.size(), count);
  if (!wrong.empty()) return wrong;
  for (int i = 0; i < count; i++) {
    const std::string why = tensorMisfit(letters[i], tensors[i], cpu);
    if (!why.empty()) return std::string(what) + " " + std::to_string(i) + ": " + why;
  }
  return "";
}

// Whether the windows of y are those that fit x.
std::string windowMisfit(const Conv2dShape& s) {
  const auto fits = [&](int64_t size, int64_t window, int64_t padding, int64_t count) {
    const int64_t room = size + padding - window;
    return room >= 0 && room / s.stride + 1 == count;
  };
  const bool fit = s.stride > 0 && fits(s.h, s.kh, s.padTop + s.padBottom, s.oh) && fits(s.w, s.kw, s.padLeft + s.padRight, s.ow);
  return fit ? "" : "sizes of y are not those of x, window, stride and padding";
}

bool isMatrix(const Tensor& t, int64_t rows, int64_t columns) { return t.rank == 2 && t.dims[0] == rows && t.dims[1] == columns; }

// Layers of lowRankFactors and its gradient in groups: the tensors of a group stand at its first layer. `has`: whether a layer is a first
// one; `fits`: whether one fits its group of a size.
template <class Has, class Fits>
std::string groupMisfit(int64_t layers, const Has& has, const Fits& fits) {
  for (int64_t first = 0, end = 0; first < layers; first = end) {
    for (end = first + 1; end < layers && !has(end);) end++;
    for (int64_t i = first; i < end; i++) {
      if (!has(first) || !fits(i, first, end - first)) return "layer " + std::to_string(i) + " does not fit those it is stacked with";
    }
  }
  return "";
}

int64_t stackedRank(int64_t r) { return (r + 7) / 8 * 8; }

std::string factorsMisfit(const Call& call) {
  const auto of = [&](int64_t layer) { return call.in + 1 + 6 * layer; };  // up, down, lambda, up0, down0, lambda0
  const auto has = [&](int64_t layer) { return call.out[2 * layer].present() && call.out[2 * layer + 1].present(); };
  return groupMisfit((call.inputs - 1) / 6, has, [&](int64_t i, int64_t first, int64_t count) {
    const Tensor *own = of(i), &up = of(first)[0], &a = call.out[2 * first], &b = call.out[2 * first + 1];
    const bool start = of(first)[3].present();
    const int64_t out = up.dims[0], r = up.dims[1], in = of(first)[1].dims[1], columns = (start ? 2 : 1) * stackedRank(r);
    for (int k = 3; k < 6; k++) {
      if (own[k].present() != start) return false;
    }
    return isMatrix(own[0], out, r) && isMatrix(own[1], r, in) && a.rank == 3 && a.dims[1] == count * columns && a.dims[2] == in &&
           a.dims[0] == call.out[0].dims[0] && a.dtype == call.out[0].dtype && b.dtype == a.dtype && isMatrix(b, count * out, columns);
  });
}

std::string factorsVjpMisfit(const Call& call) {
  const auto of = [&](int64_t layer) { return call.in + 1 + 4 * layer; };  // down, lambda, dA, dB
  const Tensor* any = nullptr;                                            // some dA: all have its number of copies
  return groupMisfit((call.inputs - 1) / 4, [&](int64_t layer) { return of(layer)[2].present() || of(layer)[3].present(); },
                     [&](int64_t i, int64_t first, int64_t count) {
                       const Tensor *out = call.out + 3 * i, &down = of(first)[0], &dA = of(first)[2], &dB = of(first)[3];
                       const int64_t r = down.dims[0], in = down.dims[1], rows = stackedRank(r);
                       if (!isMatrix(of(i)[0], r, in) || (out[0].present() && !dB.present())) return false;
                       if ((out[1].present() || out[2].present()) && !dA.present()) return false;
                       if (dB.present() && (dB.rank != 2 || dB.dims[0] % count != 0 || dB.dims[1] != r)) return false;
                       if (out[0].present() && !isMatrix(out[0], dB.dims[0] / count, r)) return false;
                       if (!dA.present()) return true;
                       if (!any) any = &dA;
                       return dA.rank == 3 && dA.dims[0] == any->dims[0] && dA.dims[2] == in && (dA.dims[1] == count * rows || dA.dims[1] == count * 2 * rows);
                     });
}

}  // namespace

std::string misfit(const std::string& op, const Call& call, bool cpu) {
  for (const Signature& s : kSignatures) {
    if (op != s.op) continue;
    const Letters inputs(s.inputs), outputs(s.outputs);
    const int times = inputs.times(call.inputs);
    std::string why = countMisfit("attribute", static_cast<size_t>(s.attrs), call.attrs);
    if (why.empty()) why = listMisfit("input", inputs.all(times), call.in, call.inputs, cpu);
    if (why.empty()) why = listMisfit("output", outputs.all(times), call.out, call.outputs, cpu);
    if (why.empty()) why = shapeMisfit(s.sizes, call);
    if (why.empty() && op == "lowRankFactors") why = factorsMisfit(call);
    if (why.empty() && op == "lowRankFactorsVjp") why = factorsVjpMisfit(call);
    if (why.empty() && (op == "conv2d" || op == "conv2dResidual")) why = windowMisfit(conv2dShape(call));
    if (why.empty() && op == "conv2dVjp") why = windowMisfit(conv2dVjpShape(call));
    return why;
  }
  return "";
}

}  // namespace tlora
