// The innermost product of gemm: up to `rows` x (16 * panels) elements of C over one block of k, in registers.
#pragma once
#include <algorithm>

#include "../core/tensor.h"
#include "simd.h"

namespace tlora {

struct MicroArgs {
  const float* a;        // element (row, k) at a[row * aStride + k], or a[k * aStride + row]
  int64_t aStride;
  const void* b;         // panels of 16 columns: element (k, column) of panel p at b + p * panelBytes, [k * 16 + column]
  int64_t panelBytes;
  int64_t depth;         // products per element
  float* c;
  int64_t cStride;
  int columns;           // of C that count: at most 16 * panels
  bool accumulate;       // C += instead of C =
  float scale;
  const float* columnScale;  // [columns] or nullptr
  const float* bias;         // [columns] or nullptr
  float* wide = nullptr;     // of kernels that keep: panels [panel][depth][16] in float32
  const char* const* ask = nullptr;  // of kernels that ask: [asks] cache lines, of which at most one for two products is
  int64_t asks = 0;                  // asked for
};

using MicroKernel = void (*)(const MicroArgs*);

// How A lies: rows of k, or k-major columns.
enum class ALayout { rows, columns };

#if defined(__aarch64__)
constexpr int kPortableRows = 6;  // 24 sums of 32 registers
#else
constexpr int kPortableRows = 2;  // 8 sums of 16
#endif

// The kernels of one kind of CPU. A tile has at most maxRows rows and maxPanels panels.
constexpr int kMostRows = 14, kMostPanels = 2;
struct MicroKernels {
  int maxRows, maxPanels;
  // [rows - 1][panels - 1]; `rows` layout for f32, f16 and bf16 panels, `columns` layout for f32 panels. `keep`, for f16 and
  // bf16 in `rows` layout, also leaves the widened panels at args->wide, which costs next to nothing beside the products. `ask`
  // is `rows` for f32 that asks the memory for other lines between its steps.
  MicroKernel rows[3][kMostRows][kMostPanels];
  MicroKernel keep[2][kMostRows][kMostPanels];
  MicroKernel ask[kMostRows][kMostPanels];
  MicroKernel columns[kMostRows][kMostPanels];
};
enum class Extra { none, keep, ask };
const MicroKernels& microKernels();

// Scales and stores the first args->columns columns of a tile [rows, width]: at the right edge of C.
__attribute__((noinline)) void finishPart(const MicroArgs* args, const float* tile, int rows, int width);

// A kernel compiled for one kind of CPU, of which a Body::run<W>(args) is the source.
template <CpuPath path, class Body>
constexpr MicroKernel compiled() {
#if defined(TLORA_X86_PATHS)
  if constexpr (path == CpuPath::avx512) return &onAvx512<Body, const MicroArgs*>;
  if constexpr (path == CpuPath::avx2) return &onAvx2<Body, const MicroArgs*>;
#endif
  return &onPortable<Body, const MicroArgs*>;
}

// 16-bit panels are widened as they are loaded: W elements at p.
template <int W, DType T>
TLORA_INLINE Vec<W> loadWide(const void* p) {
  if constexpr (T == DType::f32) {
    return load<W>(static_cast<const float*>(p));
  } else {
    typedef uint16_t Half __attribute__((vector_size(2 * W)));
    Half half;
    std::memcpy(&half, p, sizeof half);
    if constexpr (T == DType::bf16) {
      return reinterpret_cast<Vec<W>>(__builtin_convertvector(half, VecI<W>) << 16);
    } else {
#if defined(TLORA_X86_PATHS)
      if constexpr (W >= 8) {
        Vec<W> wide;
        asm("vcvtph2ps %1, %0" : "=v"(wide) : "vm"(half));
        return wide;
      }
#endif
      // Exponent and fraction shifted into place and multiplied by 2^112: right for subnormals too. Infinity and NaN
      // come out at 2^16 or more, where the exponent field is filled up.
      VecI<W> bits = __builtin_convertvector(half, VecI<W>);
      Vec<W> magnitude = reinterpret_cast<Vec<W>>((bits & 0x7fff) << 13) * 0x1p112f;
      VecI<W> filled = reinterpret_cast<VecI<W>>(magnitude) | (magnitude >= 65536.0f ? fillI<W>(0x7f800000) : fillI<W>(0));
      return reinterpret_cast<Vec<W>>(filled | ((bits & 0x8000) << 16));
    }
  }
}

// What becomes of a tile's sums; this one scales them and stores them or adds them to C. Others may take more arguments than
// MicroArgs has.
struct StoreTile {
  TLORA_INLINE static int64_t panelStep(const MicroArgs*) { return 16; }  // from one panel's columns of C to the next panel's

  template <int W, int R, int N>
  TLORA_INLINE static void run(const MicroArgs* args, Vec<W> (&acc)[R][N]) {
    if (args->columns < N * W) {
      float tile[R * N * W];
      TLORA_UNROLL
      for (int i = 0; i < R * N; i++) store(tile + i * W, acc[i / N][i % N]);
      return finishPart(args, tile, R, N * W);
    }
    TLORA_UNROLL
    for (int n = 0; n < N; n++) {
      Vec<W> factor = fill<W>(args->scale);
      if (args->columnScale) factor *= load<W>(args->columnScale + n * W);
      const Vec<W> bias = args->bias ? load<W>(args->bias + n * W) : Vec<W>{};
      TLORA_UNROLL
      for (int r = 0; r < R; r++) acc[r][n] = acc[r][n] * factor + bias;
    }
    float* c = args->c;
    if (args->accumulate) {
      TLORA_UNROLL
      for (int r = 0; r < R; r++, c += args->cStride) {
        TLORA_UNROLL
        for (int n = 0; n < N; n++) store(c + n * W, acc[r][n] + load<W>(c + n * W));
      }
    } else {
      TLORA_UNROLL
      for (int r = 0; r < R; r++, c += args->cStride) {
        TLORA_UNROLL
        for (int n = 0; n < N; n++) store(c + n * W, acc[r][n]);
      }
    }
  }
};

template <int R, int P, ALayout L, DType T, Extra E = Extra::none, class Finish = StoreTile>
struct Micro {
  template <int W>
  TLORA_INLINE static void run(const MicroArgs* args) {
    constexpr int V = 16 / W;              // vectors per panel
    constexpr int N = P * V;               // vectors per row of the tile
    constexpr int64_t kStep = 16 * (T == DType::f32 ? 4 : 2);  // bytes per k in a panel
    const int64_t stride = args->aStride;
    Vec<W> acc[R][N] = {};
    const char* b[P];
    TLORA_UNROLL
    for (int p = 0; p < P; p++) b[p] = static_cast<const char*>(args->b) + p * args->panelBytes;
    float* kept = args->wide;
    // One pointer for three rows: row r is at group[r / 3] + (r % 3) * stride, which is one addressing mode on x86.
    constexpr int groups = L == ALayout::rows ? (R + 2) / 3 : 1;
    const float* group[groups];
    TLORA_UNROLL
    for (int g = 0; g < groups; g++) group[g] = args->a + 3 * g * stride;
    auto step = [&](int u) TLORA_INLINE_LAMBDA {
      Vec<W> wide[N];
      TLORA_UNROLL
      for (int n = 0; n < N; n++) {
        wide[n] = loadWide<W, T>(b[n / V] + u * kStep + (n % V) * (kStep / V));
        if constexpr (E == Extra::keep) store(kept + n / V * args->depth * 16 + u * 16 + n % V * W, wide[n]);
      }
      TLORA_UNROLL
      for (int r = 0; r < R; r++) {
        const float* at = L == ALayout::rows ? group[r / 3] + (r % 3) * stride + u : group[0] + r;
        const Vec<W> x = broadcast<W>(at);
        TLORA_UNROLL
        for (int n = 0; n < N; n++) acc[r][n] = fma(x, wide[n], acc[r][n]);
      }
    };
    constexpr int unroll = L == ALayout::rows ? 2 : 1;
    auto advance = [&](int u) TLORA_INLINE_LAMBDA {
      TLORA_UNROLL
      for (int p = 0; p < P; p++) b[p] += u * kStep;
      if constexpr (E == Extra::keep) kept += u * 16;
      TLORA_UNROLL
      for (int g = 0; g < groups; g++) {
        group[g] += L == ALayout::rows ? u : stride;
        asm("" : "+r"(group[g]));  // keeps the groups as they are: otherwise one pointer a row, and they spill
      }
    };
    // C's rows are asked for one by one between the first steps: all at once, they would hold up what A and B ask for.
    const float* c = args->c;
    const int64_t panelStep = Finish::panelStep(args);
    int64_t k = 0;
    for (; k < std::min<int64_t>(R * unroll, args->depth - unroll + 1); k += unroll, c += args->cStride) {
      __builtin_prefetch(c, 1);
      if constexpr (P > 1) __builtin_prefetch(c + panelStep, 1);
      TLORA_UNROLL
      for (int u = 0; u < unroll; u++) step(u);
      advance(unroll);
    }
    if constexpr (E == Extra::ask) {
      const char* const* ask = args->ask;
      for (const int64_t end = std::min(k + args->asks * unroll, args->depth - unroll + 1); k < end; k += unroll, ask++) {
        __builtin_prefetch(*ask, 0, 2);
        TLORA_UNROLL
        for (int u = 0; u < unroll; u++) step(u);
        advance(unroll);
      }
    }
    for (; k + unroll <= args->depth; k += unroll) {
      TLORA_UNROLL
      for (int u = 0; u < unroll; u++) step(u);
      advance(unroll);
    }
    for (; k < args->depth; k++) {
      step(0);
      advance(1);
    }
    Finish::template run<W, R, N>(args, acc);
  }
};

}  // namespace tlora
