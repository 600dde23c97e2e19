// Handlers of instructions that give each lane a function of its own operands.
#pragma once
#include <type_traits>

#include "types.h"

namespace tlora::ptx {

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

inline void operands(Decoder& d, Type type, int sources) {
  d.result(type);
  for (int i = 0; i < sources; i++) d.source(type);
}

// .rn is what all of these do where nothing else is said.
inline void roundsToNearest(Decoder& d, Type type) {
  if (isFloat(type)) d.mod("rn");
}

}  // namespace tlora::ptx
