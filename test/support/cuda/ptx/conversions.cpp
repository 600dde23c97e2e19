// Moves and conversions (PTX ISA, "mov", "cvt", "cvta").
#include <algorithm>
#include <limits>

#include "types.h"

namespace tlora::ptx {

namespace {

// ---- mov

template <class T>
void copy(Warp& w, const Instruction& in) {
  const T* a = w.at<T>(in.at[1]);
  put<T>(w, in.at[0], [=](unsigned i) __attribute__((always_inline)) { return a[i]; });
}

Handler copyOf(Width width) {
  switch (width) {
    case Width::pred: return [](Warp& w, const Instruction& in) { putPredicate(w, in.at[0], *w.at<uint32_t>(in.at[1])); };
    case Width::b16: return copy<uint16_t>;
    case Width::b32: return copy<uint32_t>;
    default: return copy<uint64_t>;
  }
}

// One register's parts, lowest first.
template <class Whole, class Part>
void unpack(Warp& w, const Instruction& in) {
  constexpr unsigned bits = 8 * sizeof(Part);
  const Whole* a = w.at<Whole>(in.at[in.count]);
  for (unsigned p = 0; p < in.count; p++) {
    put<Part>(w, in.at[p], [=](unsigned i) __attribute__((always_inline)) { return Part(a[i] >> (p * bits)); });
  }
}

template <class Whole, class Part>
void pack(Warp& w, const Instruction& in) {
  constexpr unsigned bits = 8 * sizeof(Part);
  Whole sum[kLanes] = {};
  for (unsigned p = 0; p < in.count; p++) {
    const Part* a = w.at<Part>(in.at[1 + p]);
    for (unsigned i = 0; i < kLanes; i++) sum[i] |= Whole(Whole(a[i]) << (p * bits));
  }
  put<Whole>(w, in.at[0], [&](unsigned i) { return sum[i]; });
}

void decodeVectorMove(Decoder& d, Type type, bool packs) {
  Width part = Width::pred;
  if (packs) d.result(type);
  // The parts' width is that of their registers.
  const size_t parts = (packs ? d.peek() : d.statement().operands[0]).parts.size();
  if (parts == 0 || bytesOf(type) % parts != 0) d.unknown();
  const Type of = bytesOf(type) / parts == 4 ? Type::b32 : bytesOf(type) / parts == 2 ? Type::b16 : Type::pred;
  if (of == Type::pred) d.unknown();
  d.in.count = uint8_t(d.several(of, !packs, true, &part));
  if (!packs) d.source(type);
  const bool wide = type == Type::b64, halves = part == Width::b32;
  if (packs) d.in.run = !wide ? pack<uint32_t, uint16_t> : halves ? pack<uint64_t, uint32_t> : pack<uint64_t, uint16_t>;
  else d.in.run = !wide ? unpack<uint32_t, uint16_t> : halves ? unpack<uint64_t, uint32_t> : unpack<uint64_t, uint16_t>;
}

void decodeMove(Decoder& d) {
  const Type type = d.type();
  const auto& operands = d.statement().operands;
  if (operands.size() != 2) d.unknown();
  if (operands[0].kind == Token::vector) return decodeVectorMove(d, type, false);
  if (operands[1].kind == Token::vector) return decodeVectorMove(d, type, true);
  d.result(type);
  d.source(type);
  d.in.run = copyOf(widthOf(type));
}

// ---- cvt. Source and result may lie in wider registers: from there and to there bits are cut off or, for integers, extended.

enum class Rounding : uint8_t { none, nearest, zero, down, up };  // .rn and .rni are the same to the values

struct Conversion {
  Width from, to;
  Rounding rounding;
  bool saturates;
  int64_t packed() const { return int64_t(from) | int64_t(to) << 4 | int64_t(rounding) << 8 | int64_t(saturates) << 12; }
  static Conversion of(int64_t bits) { return {Width(bits & 15), Width(bits >> 4 & 15), Rounding(bits >> 8 & 15), (bits >> 12 & 1) != 0}; }
};

template <class T>
constexpr bool isSmallFloat = std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>;
template <class T>
constexpr bool isFloatType = std::is_floating_point_v<T> || isSmallFloat<T>;

template <class T>
inline T integral(T x, Rounding rounding) {
  switch (rounding) {
    case Rounding::nearest: return std::nearbyint(x);
    case Rounding::zero: return std::trunc(x);
    case Rounding::down: return std::floor(x);
    case Rounding::up: return std::ceil(x);
    default: return x;
  }
}

// Clamped; NaN is 0 but where the source is .f64 or the result has 64 bits: there the highest bit alone.
template <class To, class From>
inline To toInteger(From x, Rounding rounding) {
  using Limits = std::numeric_limits<To>;
  if (x != x) return sizeof(From) == 8 || sizeof(To) == 8 ? To(uint64_t{1} << (8 * sizeof(To) - 1)) : To(0);
  const From whole = integral(x, rounding);
  constexpr From top = From(uint64_t{1} << (8 * sizeof(To) - 1)) * (std::is_signed_v<To> ? From(1) : From(2));
  if (whole >= top) return Limits::max();
  if (whole < (std::is_signed_v<To> ? -top : From(0))) return Limits::min();
  return To(whole);
}

template <class To, class From>
inline To convert(From x, const Conversion& c) {
  if constexpr (isSmallFloat<From>) {
    if constexpr (std::is_same_v<To, From>) return x;
    else return convert<To>(floatOf(x), c);
  } else if constexpr (std::is_same_v<To, Half>) {
    return halfOf(float(x));
  } else if constexpr (std::is_same_v<To, Bfloat>) {
    return bfloatOf(float(x));
  } else if constexpr (std::is_floating_point_v<To> && std::is_floating_point_v<From>) {
    To y = std::is_same_v<To, From> ? To(integral(x, c.rounding)) : To(x);
    if (c.saturates) y = y > 0 ? (y < 1 ? y : To(1)) : To(0);  // NaN is 0
    return y;
  } else if constexpr (std::is_floating_point_v<From>) {
    return toInteger<To>(x, c.rounding);
  } else {
    return To(x);
  }
}

template <class To, class From>
void direct(Warp& w, const Instruction& in) {
  const From* a = w.at<From>(in.at[1]);
  const Conversion c = Conversion::of(in.immediate);
  put<To>(w, in.at[0], [=](unsigned i) __attribute__((always_inline)) { return convert<To>(a[i], c); });
}

template <class T, class Register>
void narrow(Warp& w, Place place, T* to) {
  const Register* a = w.at<Register>(place);
  for (unsigned i = 0; i < kLanes; i++) memcpy(&to[i], &a[i], sizeof(T));
}

template <class Register, class T>
void widen(Warp& w, Place place, const T* from) {
  put<Register>(w, place, [=](unsigned i) {
    if constexpr (std::is_integral_v<T>) return Register(from[i]);
    Register bits = 0;
    memcpy(&bits, &from[i], std::min(sizeof bits, sizeof(T)));
    return bits;
  });
}

template <class To, class From>
void throughRegisters(Warp& w, const Instruction& in) {
  const Conversion c = Conversion::of(in.immediate);
  From from[kLanes];
  To to[kLanes];
  if (c.from == Width::b16) narrow<From, uint16_t>(w, in.at[1], from);
  else if (c.from == Width::b32) narrow<From, uint32_t>(w, in.at[1], from);
  else narrow<From, uint64_t>(w, in.at[1], from);
  for (unsigned i = 0; i < kLanes; i++) to[i] = convert<To>(from[i], c);
  if (c.to == Width::b16) widen<uint16_t>(w, in.at[0], to);
  else if (c.to == Width::b32) widen<uint32_t>(w, in.at[0], to);
  else widen<uint64_t>(w, in.at[0], to);
}

template <class F>
Handler onAny(Type type, F f) {
  switch (type) {
    case Type::u8: return f(Tag<uint8_t>{});
    case Type::s8: return f(Tag<int8_t>{});
    case Type::f16: return f(Tag<Half>{});
    case Type::bf16: return f(Tag<Bfloat>{});
    default: return onNumber(type, f);
  }
}

// Two floats to one register: the first in the high half.
template <class T>
void convertPair(Warp& w, const Instruction& in) {
  const float *high = w.at<float>(in.at[1]), *low = w.at<float>(in.at[2]);
  put<uint32_t>(w, in.at[0], [=](unsigned i) {
    if constexpr (std::is_same_v<T, Bfloat>) return uint32_t{bfloatOf(high[i]).bits} << 16 | bfloatOf(low[i]).bits;
    else return uint32_t{halfOf(high[i]).bits} << 16 | halfOf(low[i]).bits;
  });
}

void decodePair(Decoder& d, bool brain) {
  if (!d.mod("rn") || d.type() != Type::f32) d.unknown();
  d.result(Type::b32);
  d.source(Type::f32);
  d.source(Type::f32);
  d.in.run = brain ? convertPair<Bfloat> : convertPair<Half>;
}

void decodeConvert(Decoder& d) {
  if (d.mod("bf16x2")) return decodePair(d, true);
  if (d.mod("f16x2")) return decodePair(d, false);
  const Type from = d.type(), to = d.type();
  Conversion c = {};
  const bool rn = d.mod("rn"), rni = d.mod("rni");
  c.rounding = rn || rni ? Rounding::nearest : d.mod("rzi") ? Rounding::zero : d.mod("rmi") ? Rounding::down : d.mod("rpi") ? Rounding::up : Rounding::none;
  c.saturates = d.mod("sat");
  const bool toInteger = isFloat(from) && !isFloat(to), toFloat = !isFloat(from) && isFloat(to);
  const bool narrows = isFloat(from) && isFloat(to) && bytesOf(to) < bytesOf(from);
  if (toInteger && (rn || c.rounding == Rounding::none)) d.unknown();
  if ((toFloat || narrows) && !rn) d.unknown();
  // A double would be rounded twice on its way to 16 bits.
  if ((from == Type::f64 || !isFloat(from)) && (to == Type::f16 || to == Type::bf16)) d.unknown();
  if (!isFloat(to) && c.saturates) d.unknown();
  // Of 16 bits alone the machine knows what needs no rounding, and no bounds.
  if (bytesOf(to) == 2 && isFloat(to) && (c.saturates || (from == to && c.rounding != Rounding::none))) d.unknown();
  c.to = d.wideResult(to);
  c.from = d.wideSource(from);
  const bool same = c.to == widthOf(to) && c.from == widthOf(from) && bytesOf(to) > 1 && bytesOf(from) > 1;
  d.in.immediate = c.packed();
  d.in.run = onAny(to, [&]<class To>(Tag<To>) {
    return onAny(from, [&]<class From>(Tag<From>) -> Handler { return same ? direct<To, From> : throughRegisters<To, From>; });
  });
}

// ---- cvta: between a space's addresses and generic ones; the host's are those of global memory.

void shiftAddress(Warp& w, const Instruction& in) {
  const uint64_t* a = w.at<uint64_t>(in.at[1]);
  const auto by = uint64_t(in.immediate);
  put<uint64_t>(w, in.at[0], [=](unsigned i) { return a[i] + by; });
}

void decodeAddress(Decoder& d) {
  const bool to = d.mod("to");
  const bool shared = d.mod("shared"), local = d.mod("local");
  if (!shared && !local && !d.mod("global") && !d.mod("param") && !d.mod("const")) d.unknown();
  const Type type = d.type();
  if (type != Type::u64) d.unknown();
  d.result(type);
  d.source(type);
  const auto window = int64_t(shared ? kSharedWindow : local ? kLocalWindow : 0);
  d.in.immediate = to ? -window : window;
  d.in.run = shiftAddress;
}

}  // namespace

bool decodeConversion(const std::string& name, Decoder& d) {
  if (name == "mov") decodeMove(d);
  else if (name == "cvt") decodeConvert(d);
  else if (name == "cvta") decodeAddress(d);
  else return false;
  if (!d.in.run) d.unknown();
  return true;
}

}  // namespace tlora::ptx
