// Arithmetic, logic, comparison and selection (PTX ISA, "Integer Arithmetic", "Extended-Precision", "Floating Point", "Comparison and
// Selection", "Logic and Shift"). Single and double precision are IEEE 754 with subnormals; a .ftz that changes results is not known here but
// for approximations. Those are computed to the last bit or so: a device may be off by what the ISA allows.
#include <algorithm>
#include <functional>

#include "types.h"

namespace tlora::ptx {

namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T, class F>
void unary(Warp& w, const Instruction& in, F f) {
  const T* a = w.at<T>(in.at[1]);
  put<T>(w, in.at[0], [=](unsigned i) __attribute__((always_inline)) { return f(a[i]); });
}

template <class T, class F>
void binary(Warp& w, const Instruction& in, F f) {
  const T *a = w.at<T>(in.at[1]), *b = w.at<T>(in.at[2]);
  put<T>(w, in.at[0], [=](unsigned i) __attribute__((always_inline)) { return f(a[i], b[i]); });
}

template <class T, class F>
void ternary(Warp& w, const Instruction& in, F f) {
  const T *a = w.at<T>(in.at[1]), *b = w.at<T>(in.at[2]), *c = w.at<T>(in.at[3]);
  put<T>(w, in.at[0], [=](unsigned i) __attribute__((always_inline)) { return f(a[i], b[i], c[i]); });
}

// A handler of a stateless lambda over T.
template <class T, class F>
Handler binaryOf(F) {
  return [](Warp& w, const Instruction& in) { binary<T>(w, in, F{}); };
}
template <class T, class F>
Handler unaryOf(F) {
  return [](Warp& w, const Instruction& in) { unary<T>(w, in, F{}); };
}
template <class T, class F>
Handler ternaryOf(F) {
  return [](Warp& w, const Instruction& in) { ternary<T>(w, in, F{}); };
}

void operands(Decoder& d, Type type, int sources) {
  d.result(type);
  for (int i = 0; i < sources; i++) d.source(type);
}

// .rn is what all of these do where nothing else is said.
void roundsToNearest(Decoder& d, Type type) {
  if (isFloat(type)) d.mod("rn");
}

// ---- extended precision: the carry of lane i is bit i

template <class F>
void withCarry(Warp& w, const Instruction& in, bool sets, F f) {
  const uint32_t *a = w.at<uint32_t>(in.at[1]), *b = w.at<uint32_t>(in.at[2]), *c = w.at<uint32_t>(in.at[in.operands > 3 ? 3 : 2]);
  uint32_t* d = w.at<uint32_t>(in.at[0]);
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    const uint64_t value = f(a[i], b[i], c[i], uint64_t(w.carry >> i & 1));
    d[i] = uint32_t(value);
    if (sets) w.carry = (w.carry & ~(1u << i)) | uint32_t(value >> 32 & 1) << i;
  }
}

template <bool sets, class F>
Handler carryOf(F) {
  return [](Warp& w, const Instruction& in) { withCarry(w, in, sets, F{}); };
}

template <class F>
void extended(Decoder& d, int sources, F f) {
  const bool sets = d.mod("cc");
  const Type type = d.type();
  if (type != Type::u32 && type != Type::s32 && type != Type::b32) d.unknown("extended precision of other than 32 bits");
  operands(d, type, sources);
  d.in.run = sets ? carryOf<true>(f) : carryOf<false>(f);
}

const auto kAddCarry = [](uint64_t a, uint64_t b, uint64_t, uint64_t carry) { return a + b + carry; };
const auto kSubCarry = [](uint64_t a, uint64_t b, uint64_t, uint64_t borrow) { return a - b - borrow; };
const auto kAddNone = [](uint64_t a, uint64_t b, uint64_t, uint64_t) { return a + b; };
const auto kSubNone = [](uint64_t a, uint64_t b, uint64_t, uint64_t) { return a - b; };

bool decodeExtended(const std::string& name, Decoder& d) {
  if (name == "addc") return extended(d, 2, kAddCarry), true;
  if (name == "subc") return extended(d, 2, kSubCarry), true;
  if (name != "madc") return false;
  if (d.mod("lo")) {
    extended(d, 3, [](uint64_t a, uint64_t b, uint64_t c, uint64_t carry) { return uint64_t(uint32_t(a * b)) + c + carry; });
  } else if (d.mod("hi")) {
    extended(d, 3, [](uint64_t a, uint64_t b, uint64_t c, uint64_t carry) { return (a * b >> 32) + c + carry; });
  } else {
    d.unknown();
  }
  return true;
}

// ---- integers

template <class T>
T highHalf(T a, T b) {
  if constexpr (sizeof(T) == 8) {
    using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return T(Wide(a) * Wide(b) >> 64);
  } else {
    using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
    return T(Wide(a) * Wide(b) >> (8 * sizeof(T)));
  }
}

template <class T>
T lowHalf(T a, T b) {
  using U = std::conditional_t<sizeof(T) == 2, uint32_t, Unsigned<T>>;
  return T(U(a) * U(b));
}

template <class T, class Wide, bool adds>
void wide(Warp& w, const Instruction& in) {
  const T *a = w.at<T>(in.at[1]), *b = w.at<T>(in.at[2]);
  const Wide* c = w.at<Wide>(in.at[adds ? 3 : 1]);
  put<Wide>(w, in.at[0], [=](unsigned i) __attribute__((always_inline)) {
    const Wide product = Wide(Wide(a[i]) * Wide(b[i]));
    return adds ? Wide(Unsigned<Wide>(product) + Unsigned<Wide>(c[i])) : product;
  });
}

template <bool adds>
void decodeWide(Decoder& d, Type type) {
  const bool s = isSigned(type);
  const Type twice = bytesOf(type) == 2 ? (s ? Type::s32 : Type::u32) : (s ? Type::s64 : Type::u64);
  d.result(twice);
  d.source(type);
  d.source(type);
  if (adds) d.source(twice);
  switch (type) {
    case Type::u16: d.in.run = wide<uint16_t, uint32_t, adds>; break;
    case Type::s16: d.in.run = wide<int16_t, int32_t, adds>; break;
    case Type::u32: d.in.run = wide<uint32_t, uint64_t, adds>; break;
    case Type::s32: d.in.run = wide<int32_t, int64_t, adds>; break;
    default: d.unknown();
  }
}

void decodeMultiply(Decoder& d) {
  if (d.mod("wide")) return decodeWide<false>(d, d.type());
  if (d.mod("hi")) {
    const Type type = d.type();
    operands(d, type, 2);
    d.in.run = onInteger(type, []<class T>(Tag<T>) { return binaryOf<T>([](T a, T b) { return highHalf(a, b); }); });
  } else if (d.mod("lo")) {
    const Type type = d.type();
    operands(d, type, 2);
    d.in.run = onInteger(type, []<class T>(Tag<T>) { return binaryOf<T>([](T a, T b) { return lowHalf(a, b); }); });
  } else {
    const Type type = d.type();
    roundsToNearest(d, type);
    operands(d, type, 2);
    d.in.run = onFloat(type, []<class T>(Tag<T>) { return binaryOf<T>([](T a, T b) { return T(a * b); }); });
  }
}

void decodeMultiplyAdd(Decoder& d) {
  if (d.mod("wide")) return decodeWide<true>(d, d.type());
  const bool high = d.mod("hi");
  if (!high && !d.mod("lo")) d.unknown();
  if (d.statement().mods.size() == 3) return high ? d.unknown() : extended(d, 3, [](uint64_t a, uint64_t b, uint64_t c, uint64_t) { return uint64_t(uint32_t(a * b)) + c; });
  const Type type = d.type();
  operands(d, type, 3);
  d.in.run = onInteger(type, [&]<class T>(Tag<T>) {
    return high ? ternaryOf<T>([](T a, T b, T c) { return T(Unsigned<T>(highHalf(a, b)) + Unsigned<T>(c)); })
                : ternaryOf<T>([](T a, T b, T c) { return T(Unsigned<T>(lowHalf(a, b)) + Unsigned<T>(c)); });
  });
}

// Division by zero has no result of its own on a device: here it is a fault.
template <class T, bool remainder>
void divide(Warp& w, const Instruction& in) {
  const T *a = w.at<T>(in.at[1]), *b = w.at<T>(in.at[2]);
  T* d = w.at<T>(in.at[0]);
  for (uint32_t left = w.mask; left; left &= left - 1) {
    const unsigned i = unsigned(__builtin_ctz(left));
    if (b[i] == 0) w.fail(i, "an integer is divided by zero");
    if (std::is_signed_v<T> && b[i] == T(-1)) {
      d[i] = remainder ? T(0) : T(Unsigned<T>(0) - Unsigned<T>(a[i]));
    } else {
      d[i] = remainder ? T(a[i] % b[i]) : T(a[i] / b[i]);
    }
  }
}

void decodeDivide(Decoder& d) {
  const Type type = d.type();
  if (isFloat(type) && !d.mod("rn")) d.unknown();
  operands(d, type, 2);
  if (isFloat(type)) {
    d.in.run = onFloat(type, []<class T>(Tag<T>) { return binaryOf<T>([](T a, T b) { return T(a / b); }); });
  } else {
    d.in.run = onInteger(type, []<class T>(Tag<T>) -> Handler { return divide<T, false>; });
  }
}

template <bool greatest>
void decodeExtreme(Decoder& d) {
  const Type type = d.type();
  operands(d, type, 2);
  d.in.run = onNumber(type, []<class T>(Tag<T>) {
    return binaryOf<T>([](T a, T b) {
      if constexpr (std::is_floating_point_v<T>) {
        // A number wins over NaN, and +0 is more than -0.
        const T other = greatest ? (a > b ? a : b) : (a < b ? a : b);
        const T same = greatest ? (std::signbit(a) ? b : a) : (std::signbit(a) ? a : b);
        return a == b ? same : a != a ? b : b != b ? a : other;
      } else {
        return greatest ? (a > b ? a : b) : (a < b ? a : b);
      }
    });
  });
}

template <bool left, class T>
void shift(Warp& w, const Instruction& in) {
  const T* a = w.at<T>(in.at[1]);
  const uint32_t* b = w.at<uint32_t>(in.at[2]);
  constexpr uint32_t bits = 8 * sizeof(T);
  put<T>(w, in.at[0], [=](unsigned i) __attribute__((always_inline)) {
    if constexpr (left) return b[i] >= bits ? T(0) : T(Unsigned<T>(a[i]) << (b[i] & (bits - 1)));
    if constexpr (std::is_signed_v<T>) return T(a[i] >> (b[i] >= bits ? bits - 1 : b[i]));
    return b[i] >= bits ? T(0) : T(a[i] >> (b[i] & (bits - 1)));
  });
}

template <bool left>
void decodeShift(Decoder& d) {
  const Type type = d.type();
  d.result(type);
  d.source(type);
  d.source(Type::u32);
  d.in.run = onInteger(type, []<class T>(Tag<T>) -> Handler { return shift<left, T>; });
}

// ---- logic, also of predicates

template <class F>
void decodeLogic(Decoder& d, F, bool one) {
  const Type type = d.type();
  operands(d, type, one ? 1 : 2);
  if (type == Type::pred) {
    d.in.run = [](Warp& w, const Instruction& in) { putPredicate(w, in.at[0], F{}(*w.at<uint32_t>(in.at[1]), *w.at<uint32_t>(in.at[in.operands - 1]))); };
  } else if (one) {
    d.in.run = onInteger(type, [&]<class T>(Tag<T>) { return unaryOf<T>([](T a) { return T(F{}(a, a)); }); });
  } else {
    d.in.run = onInteger(type, [&]<class T>(Tag<T>) { return binaryOf<T>([](T a, T b) { return T(F{}(a, b)); }); });
  }
}

// ---- floats

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

template <class F>
void decodeSum(Decoder& d, F, bool subtract) {
  const auto& mods = d.statement().mods;
  if (std::find(mods.begin(), mods.end(), "cc") != mods.end()) return subtract ? extended(d, 2, kSubNone) : extended(d, 2, kAddNone);
  const Type type = d.type();
  roundsToNearest(d, type);
  operands(d, type, 2);
  d.in.run = onNumber(type, []<class T>(Tag<T>) {
    return binaryOf<T>([](T a, T b) {
      if constexpr (std::is_floating_point_v<T>) return T(F{}(a, b));
      else return T(F{}(Unsigned<T>(a), Unsigned<T>(b)));
    });
  });
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

void decodeAbsolute(Decoder& d) {
  const Type type = d.type();
  operands(d, type, 1);
  d.in.run = onNumber(type, []<class T>(Tag<T>) {
    return unaryOf<T>([](T a) {
      if constexpr (std::is_floating_point_v<T>) return T(std::fabs(a));
      else return a < 0 ? T(Unsigned<T>(0) - Unsigned<T>(a)) : a;
    });
  });
}

void decodeNegate(Decoder& d) {
  const Type type = d.type();
  operands(d, type, 1);
  d.in.run = onNumber(type, []<class T>(Tag<T>) {
    return unaryOf<T>([](T a) {
      if constexpr (std::is_floating_point_v<T>) return T(-a);
      else return T(Unsigned<T>(0) - Unsigned<T>(a));
    });
  });
}

// The sign of the first, the magnitude of the second.
void decodeCopysign(Decoder& d) {
  const Type type = d.type();
  operands(d, type, 2);
  d.in.run = onFloat(type, []<class T>(Tag<T>) { return binaryOf<T>([](T a, T b) { return T(std::copysign(b, a)); }); });
}

template <bool leading>
void decodeBits(Decoder& d) {
  const Type type = d.type();
  d.result(Type::u32);
  d.source(type);
  const auto handler = []<class T>(Tag<T>) -> Handler {
    return [](Warp& w, const Instruction& in) {
      const T* a = w.at<T>(in.at[1]);
      put<uint32_t>(w, in.at[0], [=](unsigned i) { return uint32_t(leading ? std::countl_zero(a[i]) : std::popcount(a[i])); });
    };
  };
  if (type == Type::b32) d.in.run = handler(Tag<uint32_t>{});
  if (type == Type::b64) d.in.run = handler(Tag<uint64_t>{});
}

// ---- comparison and selection

template <class T, class F>
void compare(Warp& w, const Instruction& in, F f) {
  const T *a = w.at<T>(in.at[1]), *b = w.at<T>(in.at[2]);
  putPredicate(w, in.at[0], bitsOf([=](unsigned i) __attribute__((always_inline)) { return f(a[i], b[i]); }));
}

template <class F>
Handler comparing(Type type, F) {
  return onNumber(type, []<class T>(Tag<T>) -> Handler { return [](Warp& w, const Instruction& in) { compare<T>(w, in, F{}); }; });
}

Handler comparison(const std::string& how, Type type) {
  const auto is = [&](const char* name) { return how == name; };
  if (is("eq")) return comparing(type, [](auto a, auto b) { return a == b; });
  if (is("lt") || is("lo")) return comparing(type, [](auto a, auto b) { return a < b; });
  if (is("le") || is("ls")) return comparing(type, [](auto a, auto b) { return a <= b; });
  if (is("gt") || is("hi")) return comparing(type, [](auto a, auto b) { return a > b; });
  if (is("ge") || is("hs")) return comparing(type, [](auto a, auto b) { return a >= b; });
  if (!isFloat(type)) return is("ne") ? comparing(type, [](auto a, auto b) { return a != b; }) : nullptr;
  if (is("ne")) return comparing(type, [](auto a, auto b) { return a < b || a > b; });
  if (is("num")) return comparing(type, [](auto a, auto b) { return a == a && b == b; });
  if (is("nan")) return comparing(type, [](auto a, auto b) { return a != a || b != b; });
  if (is("equ")) return comparing(type, [](auto a, auto b) { return !(a < b || a > b); });
  if (is("neu")) return comparing(type, [](auto a, auto b) { return a != b; });
  if (is("ltu")) return comparing(type, [](auto a, auto b) { return !(a >= b); });
  if (is("leu")) return comparing(type, [](auto a, auto b) { return !(a > b); });
  if (is("gtu")) return comparing(type, [](auto a, auto b) { return !(a <= b); });
  if (is("geu")) return comparing(type, [](auto a, auto b) { return !(a < b); });
  return nullptr;
}

void decodeCompare(Decoder& d) {
  const Type type = d.type();
  const std::string how = d.statement().mods.front();
  if (!d.mod(how)) d.unknown();
  operands(d, Type::pred, 0);
  d.source(type);
  d.source(type);
  d.in.run = comparison(how, type);
}

template <class T>
void select(Warp& w, const Instruction& in) {
  const T *a = w.at<T>(in.at[1]), *b = w.at<T>(in.at[2]);
  const uint32_t predicate = *w.at<uint32_t>(in.at[3]);
  put<T>(w, in.at[0], [=](unsigned i) __attribute__((always_inline)) { return predicate >> i & 1 ? a[i] : b[i]; });
}

void decodeSelect(Decoder& d) {
  const Type type = d.type();
  operands(d, type, 2);
  d.source(Type::pred);
  d.in.selects = true;
  switch (bytesOf(type)) {
    case 2: d.in.run = select<uint16_t>; break;
    case 4: d.in.run = select<uint32_t>; break;
    case 8: d.in.run = select<uint64_t>; break;
    default: d.unknown();
  }
}

using Decode = void (*)(Decoder&);

}  // namespace

bool decodeArithmetic(const std::string& name, Decoder& d) {
  static const std::map<std::string, Decode> all = {
      {"add", [](Decoder& d) { decodeSum(d, [](auto a, auto b) { return a + b; }, false); }},
      {"sub", [](Decoder& d) { decodeSum(d, [](auto a, auto b) { return a - b; }, true); }},
      {"mul", decodeMultiply},
      {"mad", decodeMultiplyAdd},
      {"fma", decodeFma},
      {"div", decodeDivide},
      {"rem", [](Decoder& d) {
         const Type type = d.type();
         operands(d, type, 2);
         d.in.run = onInteger(type, []<class T>(Tag<T>) -> Handler { return divide<T, true>; });
       }},
      {"min", decodeExtreme<false>},
      {"max", decodeExtreme<true>},
      {"shl", decodeShift<true>},
      {"shr", decodeShift<false>},
      {"and", [](Decoder& d) { decodeLogic(d, [](auto a, auto b) { return a & b; }, false); }},
      {"or", [](Decoder& d) { decodeLogic(d, [](auto a, auto b) { return a | b; }, false); }},
      {"xor", [](Decoder& d) { decodeLogic(d, [](auto a, auto b) { return a ^ b; }, false); }},
      {"not", [](Decoder& d) { decodeLogic(d, [](auto a, auto) { return ~a; }, true); }},
      {"abs", decodeAbsolute},
      {"neg", decodeNegate},
      {"copysign", decodeCopysign},
      {"clz", decodeBits<true>},
      {"popc", decodeBits<false>},
      {"setp", decodeCompare},
      {"selp", decodeSelect},
  };
  const auto found = all.find(name);
  if (found == all.end()) {
    if (!decodeExtended(name, d) && !decodeFunctions(name, d)) return false;
  } else {
    found->second(d);
  }
  if (!d.in.run) d.unknown();
  return true;
}

}  // namespace tlora::ptx
