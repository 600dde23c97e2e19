// A frozen weight lies in panels of 16 of its rows, which dx = dy * W sums over. Where few rows of dy meet it, turning its
// blocks costs more than can be earned back. So dx^T = W^T * dy^T instead: the columns of W are the micro-kernel's rows, read as
// scalars, so that 16 products of a sum lie one after the other and are only widened; dy is what goes into panels, transposed:
//
//   for each block of kBlockK products: dy^T into panels [panel of 16 rows of dy][k][16]
//     for each kChunk columns of W: widen [column][k] into the second-level cache, dx^T [column][row of dy] += product
//   dx = transpose of dx^T
#include "gemmFewRows.h"

#include <algorithm>

#include "gemmMicro.h"
#include "gemmPack.h"

namespace tlora {
namespace {

using Kind = GemmMatrix::Kind;

constexpr int64_t kMostFewRows = 64;
constexpr int64_t kChunk = 112;
constexpr int64_t kMostAsks = 160;  // cache lines during one call of the micro-kernel
constexpr int64_t kTurnedFloats = 131072;  // of dx^T at a time: half a megabyte

struct Space {
  float weights[kChunk * kPackedStride];
  float panels[kMostFewRows * kBlockK];
  float rows[kMostFewRows * kPackedStride];
  float turned[kTurnedFloats];
  float columns[kMostFewRows * kPanel];
};
static_assert(sizeof(Space) <= kWorkspaceBytes);

// 16 products of each of `rows` columns of a weight.
template <DType T>
struct WidenColumns {
  template <int W>
  TLORA_INLINE static void run(const char* from, int64_t rows, float* out) {
    constexpr int64_t bytes = T == DType::f32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r++, from += kPanel * bytes, out += kPackedStride) {
      TLORA_UNROLL
      for (int64_t i = 0; i < kPanel; i += W) store(out + i, loadWide<W, T>(from + i * bytes));
    }
  }
};

void widenColumns(DType dtype, const char* from, int64_t rows, float* out) {
  if (dtype == DType::f16) return simd<WidenColumns<DType::f16>>(from, rows, out);
  if (dtype == DType::bf16) return simd<WidenColumns<DType::bf16>>(from, rows, out);
  simd<WidenColumns<DType::f32>>(from, rows, out);
}

// Columns j .. j + count of B, k in [k0, k0 + depth), as [column][kPackedStride].
void packWeights(const GemmMatrix& b, int64_t j, int64_t count, int64_t k0, int64_t depth, float* out) {
  for (int64_t k = 0; k < depth; k += kPanel) widenColumns(b.packed.dtype, placeOf(b, k0 + k, j), count, out + k);
}

// All rows of A, k in [k0, k0 + depth), in panels.
void packTurned(const FewRows& p, int64_t k0, int64_t depth, Space& space) {
  if (p.a.kind == Kind::rows) return packPanels(columnsOf(p.a.data + k0, p.a.stride), 0, p.m, 0, depth, space.panels);
  packRows(p.a, 0, p.m, k0, depth, space.rows);
  packPanels(columnsOf(space.rows, kPackedStride), 0, p.m, 0, depth, space.panels);
}

struct Chunk {
  int64_t j, count, k0, depth;
};

// Adds the products of a chunk of columns to dx^T [count][panels * 16], and meanwhile asks for the next chunk.
void multiplyChunk(const FewRows& p, const Chunk& chunk, const Chunk& next, int64_t panels, float* c, Space& space) {
  const MicroKernels& kernels = microKernels();
  const RowGroups groups(chunk.count, kernels.maxRows);
  const int64_t calls = groups.count * ((panels + kernels.maxPanels - 1) / kernels.maxPanels);
  const int64_t lines = next.count * kPanel * static_cast<int64_t>(dtypeBytes(p.b.packed.dtype)) / 64;
  const int64_t total = (next.depth + kPanel - 1) / kPanel * lines;
  int64_t call = 0;
  for (int64_t g = 0; g < groups.count; g++) {
    for (int64_t panel = 0; panel < panels; panel += kernels.maxPanels, call++) {
      const char* ask[kMostAsks];
      int64_t asks = 0;
      const int64_t from = total * call / calls, to = std::min(total * (call + 1) / calls, from + kMostAsks);
      eachLine(from, to, lines, [&](int64_t i) { return placeOf(p.b, next.k0 + i * kPanel, next.j); },
               [&](const char* line) { ask[asks++] = line; });
      const int64_t width = std::min<int64_t>(kernels.maxPanels, panels - panel);
      const MicroArgs args = {
          .a = space.weights + groups.begin(g) * kPackedStride,
          .aStride = kPackedStride,
          .b = space.panels + panel * chunk.depth * kPanel,
          .panelBytes = chunk.depth * kPanel * int64_t{sizeof(float)},
          .depth = chunk.depth,
          .c = c + (groups.begin(g) * panels + panel) * kPanel,
          .cStride = panels * kPanel,
          .columns = static_cast<int>(width * kPanel),
          .accumulate = chunk.k0 > 0,
          .scale = 1,
          .columnScale = nullptr,
          .bias = nullptr,
          .wide = nullptr,
          .ask = ask,
          .asks = asks,
      };
      kernels.ask[groups.height(g) - 1][width - 1](&args);
    }
  }
}

// dx^T [columns][panels * 16] to rows of C.
void turnBack(const FewRows& p, int64_t j0, int64_t columns, int64_t panels, Space& space) {
  for (int64_t j = 0; j < columns; j += kPanel) {
    const int64_t count = std::min(kPanel, columns - j), width = panels * kPanel;
    packPanels(columnsOf(space.turned + j * width, width), 0, count, 0, p.m, space.columns);
    for (int64_t i = 0; i < p.m; i++)
      std::memcpy(p.c + i * p.stride + j0 + j, space.columns + i * kPanel, count * sizeof(float));
  }
}

}  // namespace

bool fewRowsPay(int64_t m, const GemmMatrix& a, const GemmMatrix& b, const GemmOptions& options) {
  const bool plain = !options.accumulate && options.scale == 1 && !options.columnScale && !options.bias;
  const bool rows = a.kind == Kind::rows || a.kind == Kind::patches;
  const bool whole = b.kind == Kind::weight || (b.kind == Kind::weightTaps && b.taps.outs % kPanel == 0);
  return plain && rows && whole && b.packed.data && m <= kMostFewRows && m % (kMostPanels * kPanel) == 0;
}

void multiplyFewRows(const FewRows& p, int64_t j0, int64_t j1, void* workspace) {
  Space& space = *static_cast<Space*>(workspace);
  const int64_t panels = (p.m + kPanel - 1) / kPanel;
  const int64_t most = kTurnedFloats / (panels * kPanel) / kPanel * kPanel, blocks = (j1 - j0 + most - 1) / most;
  const int64_t step = ((j1 - j0 + blocks - 1) / blocks + kPanel - 1) / kPanel * kPanel;
  for (int64_t j = j0; j < j1; j += step) {
    const int64_t columns = std::min(step, j1 - j);
    const auto chunkAt = [&](int64_t i, int64_t k0) -> Chunk {
      return {j + i, std::min(kChunk, columns - i), k0, std::max<int64_t>(0, std::min(kBlockK, p.k - k0))};
    };
    int64_t k0 = 0;
    do {
      if (p.cancelled.load(std::memory_order_relaxed)) return;
      const int64_t depth = std::min(kBlockK, p.k - k0);
      packTurned(p, k0, depth, space);
      for (int64_t i = 0; i < columns; i += kChunk) {
        const Chunk chunk = chunkAt(i, k0), next = i + kChunk < columns ? chunkAt(i + kChunk, k0) : chunkAt(0, k0 + kBlockK);
        packWeights(p.b, chunk.j, chunk.count, k0, depth, space.weights);
        multiplyChunk(p, chunk, next, panels, space.turned + i * panels * kPanel, space);
      }
      k0 += kBlockK;
    } while (k0 < p.k);
    turnBack(p, j, columns, panels, space);
  }
}

}  // namespace tlora
