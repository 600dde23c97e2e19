// The transforms of F(2x2, 3x3), channel by channel in vectors:
//         | 1  0 -1  0 |        | 1    0    0   |
//   B^T = | 0  1  1  0 |    G = | 1/2  1/2  1/2 |    A^T = | 1  1  1  0 |
//         | 0 -1  1  0 |        | 1/2 -1/2  1/2 |          | 0  1 -1 -1 |
//         | 0  1  0 -1 |        | 0    0    1   |
// Places of the 4x4 are numbered row by row and lie `place` floats apart.
#pragma once
#include "gemmMicro.h"

namespace tlora {

constexpr int kPlaces = 16;

// V = B^T d B for `count` channels of the 16 pixels of one tile.
struct TransformInput {
  template <int W>
  TLORA_INLINE static void run(const float* const* pixels, int64_t count, float* v, int64_t place) {
    eachVec<W>(count, [&](int64_t c, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> t[4][4];
      TLORA_UNROLL
      for (int j = 0; j < 4; j++) {
        const Vec<W> d0 = load<W>(pixels[j] + c, part), d1 = load<W>(pixels[4 + j] + c, part);
        const Vec<W> d2 = load<W>(pixels[8 + j] + c, part), d3 = load<W>(pixels[12 + j] + c, part);
        t[0][j] = d0 - d2;
        t[1][j] = d1 + d2;
        t[2][j] = d2 - d1;
        t[3][j] = d1 - d3;
      }
      float* to = v + c;
      TLORA_UNROLL
      for (int i = 0; i < 4; i++, to += 4 * place) {
        store(to, t[i][0] - t[i][2], part);
        store(to + place, t[i][1] + t[i][2], part);
        store(to + 2 * place, t[i][2] - t[i][1], part);
        store(to + 3 * place, t[i][1] - t[i][3], part);
      }
    });
  }
};

// Where TransformWeight reads and writes: 16 weights of each of nine taps for each row and panel.
struct WeightLayout {
  int64_t tapBytes, rowBytes, panelBytes;  // between the taps, rows and panels it reads
  int64_t row, panel, place;               // floats between the rows, panels and places that it writes
};

// U = G g G^T for all of `panels` of each of `rows`.
template <DType T>
struct TransformWeight {
  template <int W>
  TLORA_INLINE static void run(const void* weights, float* u, int64_t rows, int64_t panels, const WeightLayout* layout) {
    const WeightLayout at = *layout;
    for (int64_t panel = 0; panel < panels; panel++) {
      for (int64_t row = 0; row < rows; row++) {
        const char* g = static_cast<const char*>(weights) + row * at.rowBytes + panel * at.panelBytes;
        TLORA_UNROLL
        for (int lane = 0; lane < 16; lane += W)
          transform<W>(g + lane * (T == DType::f32 ? 4 : 2), at.tapBytes, u + row * at.row + panel * at.panel + lane, at.place);
      }
    }
  }

  template <int W>
  TLORA_INLINE static void transform(const char* g, int64_t tapBytes, float* u, int64_t place) {
    Vec<W> t[4][3];
    TLORA_UNROLL
    for (int j = 0; j < 3; j++) {
      const Vec<W> g0 = loadWide<W, T>(g + j * tapBytes), g1 = loadWide<W, T>(g + (3 + j) * tapBytes) * 0.5f;
      const Vec<W> g2 = loadWide<W, T>(g + (6 + j) * tapBytes), outer = (g0 + g2) * 0.5f;
      t[0][j] = g0;
      t[1][j] = outer + g1;
      t[2][j] = outer - g1;
      t[3][j] = g2;
    }
    TLORA_UNROLL
    for (int i = 0; i < 4; i++, u += 4 * place) {
      const Vec<W> outer = (t[i][0] + t[i][2]) * 0.5f, inner = t[i][1] * 0.5f;
      store(u, t[i][0]);
      store(u + place, outer + inner);
      store(u + 2 * place, outer - inner);
      store(u + 3 * place, t[i][2]);
    }
  }
};

// y = A^T m A (+ bias) for `count` outputs of the four pixels of one tile.
struct TransformOutput {
  template <int W>
  TLORA_INLINE static void run(const float* m, int64_t place, int64_t count, const float* bias, float* const* pixels) {
    eachVec<W>(count, [&](int64_t o, auto part) TLORA_INLINE_LAMBDA {
      Vec<W> t[2][4];
      TLORA_UNROLL
      for (int j = 0; j < 4; j++) {
        const float* from = m + o + j * place;
        const Vec<W> m0 = load<W>(from, part), m1 = load<W>(from + 4 * place, part);
        const Vec<W> m2 = load<W>(from + 8 * place, part), m3 = load<W>(from + 12 * place, part);
        t[0][j] = m0 + m1 + m2;
        t[1][j] = m1 - m2 - m3;
      }
      const Vec<W> start = bias ? load<W>(bias + o, part) : Vec<W>{};
      TLORA_UNROLL
      for (int i = 0; i < 2; i++) {
        store(pixels[2 * i] + o, t[i][0] + t[i][1] + t[i][2] + start, part);
        store(pixels[2 * i + 1] + o, t[i][1] - t[i][2] - t[i][3] + start, part);
      }
    });
  }
};

}  // namespace tlora
