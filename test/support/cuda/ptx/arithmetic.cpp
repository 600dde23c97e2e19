// Arithmetic of integers, sums and products of both kinds, comparison, selection, logic (PTX ISA, "Integer Arithmetic", "Extended-Precision",
// "Comparison and Selection", "Logic and Shift"). Single and double precision are IEEE 754 with subnormals.
#include <algorithm>
#include <functional>

#include "elementwise.h"

namespace tlora::ptx {

namespace {

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

// ---- sums, signs, bits

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
      {"clz", decodeBits<true>},
      {"popc", decodeBits<false>},
      {"setp", decodeCompare},
      {"selp", decodeSelect},
  };
  const auto found = all.find(name);
  if (found == all.end()) {
    if (!decodeExtended(name, d)) return false;
  } else {
    found->second(d);
  }
  if (!d.in.run) d.unknown();
  return true;
}

}  // namespace tlora::ptx
