// Functions of floats (PTX ISA, "Floating Point Instructions"). A .ftz that changes results is known for approximations alone. Those are
// computed to the last bit or so: a device may be off by what the ISA allows.
#include "elementwise.h"

namespace tlora::ptx {

namespace {

// Rounds a * b + c down. The product is exact in double; the sum's error (Knuth's two-sum) decides what its rounding hides.
inline float fmaDown(float a, float b, float c) {
  const double product = double(a) * double(b), addend = c, sum = product + addend;
  const double back = sum - product, error = (product - (sum - back)) + (addend - back);
  const float nearest = float(sum);
  const bool above = double(nearest) > sum || (double(nearest) == sum && error < 0);
  const int32_t bits = std::bit_cast<int32_t>(nearest);
  // Infinity rounded up from a finite sum goes down to the largest float as well.
  const int32_t lower = nearest > 0 ? bits - 1 : nearest < 0 ? bits + 1 : int32_t(0x80000001u);
  return above ? std::bit_cast<float>(lower) : nearest;
}

void decodeFma(Decoder& d) {
  const bool down = d.mod("rm");
  if (!down && !d.mod("rn")) d.unknown();
  const Type type = d.type();
  operands(d, type, 3);
  if (!down) {
    d.in.run = onFloat(type, []<class T>(Tag<T>) { return ternaryOf<T>([](T a, T b, T c) { return std::is_same_v<T, float> ? T(__builtin_fmaf(float(a), float(b), float(c))) : T(__builtin_fma(a, b, c)); }); });
  } else if (type == Type::f32) {
    d.in.run = ternaryOf<float>([](float a, float b, float c) { return fmaDown(a, b, c); });
  }
}

// The sign of the first, the magnitude of the second.
void decodeCopysign(Decoder& d) {
  const Type type = d.type();
  operands(d, type, 2);
  d.in.run = onFloat(type, []<class T>(Tag<T>) { return binaryOf<T>([](T a, T b) { return T(std::copysign(b, a)); }); });
}

// 2^x: 2^f of the fraction by its series, exact to the last bits of a double's float part.
inline double powerOfTwo(double x) {
  x = x < -300 ? -300 : x > 300 ? 300 : x;
  const double whole = std::nearbyint(x), f = (x - whole) * 0.69314718055994530942;
  double sum = 1.0 / 39916800;
  for (const double c : {1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0}) sum = sum * f + c;
  const auto exponent = static_cast<int64_t>(static_cast<int32_t>(whole == whole ? whole : 0.0)) + 1023;
  return sum * std::bit_cast<double>(exponent << 52);
}

inline float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

enum class Approximate : uint8_t { ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh };

template <Approximate which>
inline float approximately(float x) {
  switch (which) {
    case Approximate::ex2: return float(powerOfTwo(x));
    case Approximate::lg2: return float(std::log2(double(x)));
    case Approximate::rcp: return 1.0f / x;
    case Approximate::rsqrt: return float(1.0 / std::sqrt(double(x)));
    case Approximate::sqrt: return std::sqrt(x);
    case Approximate::sin: return float(std::sin(double(x)));
    case Approximate::cos: return float(std::cos(double(x)));
    case Approximate::tanh: return float(std::tanh(double(x)));
  }
}

template <Approximate which>
bool decodeApproximate(Decoder& d) {
  const bool flush = d.mod("ftz");
  const Type type = d.type();
  operands(d, type, 1);
  if (type == Type::f64 && which == Approximate::rcp && flush) {
    // A gross approximation: the lower half of the result is zero.
    d.in.run = unaryOf<double>([](double x) {
      const double from = std::fabs(x) < 0x1p-1022 ? std::copysign(0.0, x) : x, exact = 1.0 / from;
      const double to = std::fabs(exact) < 0x1p-1022 ? std::copysign(0.0, exact) : exact;
      return std::bit_cast<double>(std::bit_cast<uint64_t>(to) & 0xffffffff00000000u);
    });
  } else if (type == Type::f32) {
    d.in.run = flush ? unaryOf<float>([](float x) { return flushed(approximately<which>(flushed(x))); })
                     : unaryOf<float>([](float x) { return approximately<which>(x); });
  }
  return true;
}

bool decodeFunctions(const std::string& name, Decoder& d) {
  if (d.mod("approx")) {
    if (name == "ex2") return decodeApproximate<Approximate::ex2>(d);
    if (name == "lg2") return decodeApproximate<Approximate::lg2>(d);
    if (name == "rcp") return decodeApproximate<Approximate::rcp>(d);
    if (name == "rsqrt") return decodeApproximate<Approximate::rsqrt>(d);
    if (name == "sqrt") return decodeApproximate<Approximate::sqrt>(d);
    if (name == "sin") return decodeApproximate<Approximate::sin>(d);
    if (name == "cos") return decodeApproximate<Approximate::cos>(d);
    if (name == "tanh") return decodeApproximate<Approximate::tanh>(d);
    return false;
  }
  if (name != "rcp" && name != "sqrt") return false;
  if (!d.mod("rn")) d.unknown();
  const Type type = d.type();
  operands(d, type, 1);
  if (name == "rcp") d.in.run = onFloat(type, []<class T>(Tag<T>) { return unaryOf<T>([](T a) { return T(1) / a; }); });
  else d.in.run = onFloat(type, []<class T>(Tag<T>) { return unaryOf<T>([](T a) { return T(std::sqrt(a)); }); });
  return true;
}

}  // namespace

bool decodeFloat(const std::string& name, Decoder& d) {
  if (name == "fma") decodeFma(d);
  else if (name == "copysign") decodeCopysign(d);
  else if (!decodeFunctions(name, d)) return false;
  if (!d.in.run) d.unknown();
  return true;
}

}  // namespace tlora::ptx
