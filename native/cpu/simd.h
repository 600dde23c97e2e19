// Vector code without build flags: one source, compiled for each kind of CPU, chosen at run time.
//
// A kernel's inner loop is a struct with one static template `run<W>` (W = lanes: 16 AVX-512, 8 AVX2 + FMA, 4 otherwise):
//
//   struct SiluRow {
//     template <int W> TLORA_INLINE static void run(const float* x, float* y, int64_t n) {
//       eachVec<W>(n, [&](int64_t i, auto part) TLORA_INLINE_LAMBDA {
//         Vec<W> v = load<W>(x + i, part);
//         store(y + i, v * sigmoid(v), part);
//       });
//     }
//   };
//   simd<SiluRow>(x, y, n);
//
// Rules: everything that run<W> calls is TLORA_INLINE (otherwise it is compiled for the plain CPU); a call covers a row
// or a chunk, not one element; no intrinsics (vector types, their operators and `cond ? a : b` do the work).
// Lanes differ between paths, so sums over lanes may differ in the last bits from one kind of CPU to another; on one
// machine they are always the same.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors never cross a call: all is inlined

// Clang refuses vector instructions inside a body that is only inlined into its target later, so on x86-64 it builds the
// portable path alone.
#if defined(__x86_64__) && !defined(__clang__)
#define TLORA_X86_PATHS 1
#endif

#define TLORA_INLINE inline __attribute__((always_inline))
#define TLORA_INLINE_LAMBDA __attribute__((always_inline))
#define TLORA_UNROLL _Pragma("GCC unroll 64")  // before a short loop over registers, whatever the optimisation level

namespace tlora {

enum class CpuPath { portable, avx2, avx512 };

// The best path of this machine, or the one that TLORA_CPU=portable|avx2|avx512 asks for if the machine has it.
inline CpuPath cpuPath() {
  static const CpuPath chosen = [] {
    CpuPath best = CpuPath::portable;
#if defined(TLORA_X86_PATHS)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = CpuPath::avx2;  // f16c came before both
    if (best == CpuPath::avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
      best = CpuPath::avx512;
#endif
    const char* asked = std::getenv("TLORA_CPU");
    if (asked == nullptr) return best;
    if (std::strcmp(asked, "portable") == 0) return CpuPath::portable;
    if (std::strcmp(asked, "avx2") == 0 && best == CpuPath::avx512) return CpuPath::avx2;
    return best;
  }();
  return chosen;
}

inline const char* cpuPathName() {
  const char* const names[] = {"portable", "avx2", "avx512"};
  return names[static_cast<int>(cpuPath())];
}

#if defined(TLORA_X86_PATHS)
#define TLORA_TARGET_AVX2 __attribute__((target("avx2,fma,f16c"), noinline))
#define TLORA_TARGET_AVX512 \
  __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c,prefer-vector-width=512"), noinline))
#else
#define TLORA_TARGET_AVX2
#define TLORA_TARGET_AVX512
#endif

template <class Body, class... Args>
TLORA_TARGET_AVX512 void onAvx512(Args... args) { Body::template run<16>(args...); }
template <class Body, class... Args>
TLORA_TARGET_AVX2 void onAvx2(Args... args) { Body::template run<8>(args...); }
template <class Body, class... Args>
__attribute__((noinline)) void onPortable(Args... args) { Body::template run<4>(args...); }

// Runs Body::run<W>(args...) for this CPU. Results are passed back through pointers.
template <class Body, class... Args>
void simd(Args... args) {
#if defined(TLORA_X86_PATHS)
  if (cpuPath() == CpuPath::avx512) return onAvx512<Body, Args...>(args...);
  if (cpuPath() == CpuPath::avx2) return onAvx2<Body, Args...>(args...);
#endif
  onPortable<Body, Args...>(args...);
}

template <class T, int W>
struct VecOf {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
};
template <int W> using Vec = typename VecOf<float, W>::type;
template <int W> using VecI = typename VecOf<int32_t, W>::type;
template <int W> using VecD = typename VecOf<double, W>::type;  // twice as wide as a register: for sums, not for speed

template <class V> constexpr int lanesOf = sizeof(V) / 4;

// All lanes alike. In arithmetic a plain scalar does as well: v * s. (GCC 12 makes W inserts of a broadcast that it sees
// before the body is inlined into its target, so the instruction is given by hand.)
template <int W> TLORA_INLINE Vec<W> fill(float x) {
#if defined(TLORA_X86_PATHS)
  if constexpr (W >= 8) {
    if (!__builtin_constant_p(x)) {
      Vec<W> v;
      asm("vbroadcastss %1, %0" : "=v"(v) : "vm"(x));
      return v;
    }
  }
#endif
  return x - Vec<W>{};
}
template <int W> TLORA_INLINE VecI<W> fillI(int32_t x) { return reinterpret_cast<VecI<W>>(fill<W>(__builtin_bit_cast(float, x))); }

// All lanes the float at p.
template <int W> TLORA_INLINE Vec<W> broadcast(const float* p) {
#if defined(TLORA_X86_PATHS)
  if constexpr (W >= 8) {
    Vec<W> v;
    asm("vbroadcastss %1, %0" : "=v"(v) : "m"(*p));
    return v;
  }
#endif
  return fill<W>(*p);
}

// a * b + c, rounded once where the path has the instruction (all but the portable path of x86-64). By hand, because the
// build does not contract.
template <class V> TLORA_INLINE V fma(V a, V b, V c) {
#if defined(TLORA_X86_PATHS)
  if constexpr (lanesOf<V> >= 8) {
    asm("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
  }
#elif defined(__aarch64__)
  if constexpr (lanesOf<V> == 4) {
    asm("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b));
    return c;
  }
#endif
  return a * b + c;
}

// `part` says how many lanes count: Whole for all of them, or an int for a row's end. Lanes not loaded are zero.
struct Whole {};
template <int W> TLORA_INLINE Vec<W> load(const float* p, Whole = {}) {
  Vec<W> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <int W> TLORA_INLINE Vec<W> load(const float* p, int part) {
  float lanes[W] = {};
  for (int i = 0; i < part; i++) lanes[i] = p[i];
  return load<W>(lanes);
}
template <class V> TLORA_INLINE void store(float* p, V v, Whole = {}) { std::memcpy(p, &v, sizeof v); }
template <class V> TLORA_INLINE void store(float* p, V v, int part) {
  float lanes[lanesOf<V>];
  store(lanes, v);
  for (int i = 0; i < part; i++) p[i] = lanes[i];
}

// body(i, part) for i = 0, W, 2W ... below n; `part` is Whole{} except for a shorter last piece, where it is an int.
template <int W, class Body>
TLORA_INLINE void eachVec(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + W <= n; i += W) body(i, Whole{});
  if (i < n) body(i, static_cast<int>(n - i));
}

// Sum and maximum over lanes, by halves: a fixed order.
template <class V> TLORA_INLINE float sumLanes(V v) {
  float lanes[lanesOf<V>];
  store(lanes, v);
  for (int half = lanesOf<V> / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}
template <class V> TLORA_INLINE V maxOf(V a, V b) { return a > b ? a : b; }
template <class V> TLORA_INLINE V minOf(V a, V b) { return a < b ? a : b; }
template <class V> TLORA_INLINE float maxLanes(V v) {
  float lanes[lanesOf<V>];
  store(lanes, v);
  float most = lanes[0];
  for (int i = 1; i < lanesOf<V>; i++) most = lanes[i] > most ? lanes[i] : most;
  return most;
}
template <class V> TLORA_INLINE V absOf(V v) { return v < 0 ? -v : v; }

// x = n ln 2 + r for |x| < 105: gives n, and e^r by a polynomial (Cephes expf).
template <class V> TLORA_INLINE V expOfRest(V x, VecI<lanesOf<V>>* n) {
  constexpr int W = lanesOf<V>;
  V shifted = fma(x, fill<W>(1.44269504088896341f), fill<W>(12582912.0f));  // 1.5 * 2^23: rounds to an integer in the low bits
  V whole = shifted - 12582912.0f;
  V r = fma(whole, fill<W>(2.12194440e-4f), fma(whole, fill<W>(-0.693359375f), x));
  V p = fill<W>(1.9875691500e-4f);
  p = fma(p, r, fill<W>(1.3981999507e-3f));
  p = fma(p, r, fill<W>(8.3334519073e-3f));
  p = fma(p, r, fill<W>(4.1665795894e-2f));
  p = fma(p, r, fill<W>(1.6666665459e-1f));
  p = fma(p, r, fill<W>(5.0000001201e-1f));
  *n = __builtin_convertvector(whole, VecI<W>);
  return fma(p, r * r, r) + 1.0f;
}

// exp, error under 2 ulp; overflows to infinity, underflows to zero, keeps NaN. 2^n in two factors, so that results near the
// ends are right.
template <class V> TLORA_INLINE V exp(V x) {
  constexpr int W = lanesOf<V>;
  x = x > 89.0f ? fill<W>(89.0f) : x;
  x = x < -104.0f ? fill<W>(-104.0f) : x;
  VecI<W> exponent;
  V p = expOfRest(x, &exponent);
  VecI<W> half = exponent >> 1;
  V first = reinterpret_cast<V>((half + 127) << 23);
  V second = reinterpret_cast<V>((exponent - half + 127) << 23);
  return p * first * second;
}

// 1 / (1 + e^-x), error under 3 ulp above -87, where it stays; keeps NaN. 2^n is added to the exponent: n does not leave it.
template <class V> TLORA_INLINE V sigmoid(V x) {
  constexpr int W = lanesOf<V>;
  x = x > 87.0f ? fill<W>(87.0f) : x;
  x = x < -87.0f ? fill<W>(-87.0f) : x;
  VecI<W> exponent;
  const V p = expOfRest(-x, &exponent);
  return 1.0f / (1.0f + reinterpret_cast<V>(reinterpret_cast<VecI<W>>(p) + (exponent << 23)));
}

// tanh, error under 3 ulp (Cephes tanhf: a polynomial below 0.625, exp above).
template <class V> TLORA_INLINE V tanh(V x) {
  constexpr int W = lanesOf<V>;
  V a = absOf(x);
  V z = x * x;
  V p = fma(z, fill<W>(-5.70498872745e-3f), fill<W>(2.06390887954e-2f));
  p = fma(p, z, fill<W>(-5.37397155531e-2f));
  p = fma(p, z, fill<W>(1.33314422036e-1f));
  p = fma(p, z, fill<W>(-3.33332819422e-1f));
  V low = x + x * z * p;
  V high = 1.0f - 2.0f / (exp(a + a) + 1.0f);
  high = x < 0 ? -high : high;
  return a < 0.625f ? low : high;
}

// erf, error under 2e-7, keeps NaN. Least-maximum fits of erf(x) / x over x^2 below 0.9 and of ln(1 - erf(x)) above, which
// ends at 4, where erf is 1 to float32.
template <class V> TLORA_INLINE V erf(V x) {
  constexpr int W = lanesOf<V>;
  V a = absOf(x);
  V z = x * x;
  V p = z * 8.53884158500898e-5f - 8.181927872e-4f;
  p = p * z + 5.204436079e-3f;
  p = p * z - 2.6860752834e-2f;
  p = p * z + 1.12837197235e-1f;
  p = p * z - 3.76126353104e-1f;
  V low = x * (p * z + 1.1283791668f);
  V bounded = a > 4.0f ? fill<W>(4.0f) : a;
  V q = bounded * -2.0909461250e-5f + 4.3230197777e-4f;
  q = q * bounded - 4.1605223124e-3f;
  q = q * bounded + 2.5091485207e-2f;
  q = q * bounded - 1.0823660255e-1f;
  q = q * bounded - 6.3338666085e-1f;
  q = q * bounded - 1.12949515244f;
  q = q * bounded + 1.7055074123e-4f;
  VecI<W> exponent;
  V rest = expOfRest(q, &exponent);
  V high = 1.0f - rest * reinterpret_cast<V>((exponent + 127) << 23);
  high = x < 0 ? -high : high;
  return a < 0.9f ? low : high;
}

}  // namespace tlora
