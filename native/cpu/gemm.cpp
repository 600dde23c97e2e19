#include "gemm.h"

#include <algorithm>
#include <numeric>

#include "gemmFewRows.h"
#include "gemmMicro.h"
#include "gemmPack.h"

namespace tlora {
namespace {

using Kind = GemmMatrix::Kind;

// Rows of A that are packed together: with kBlockK columns they take two thirds of a megabyte of the second-level cache.
constexpr int64_t kBlockRows = 256;
// A tile below the first sizes is packed too often, one below the second is not worth its packing: it is for threads that would
// have no tile otherwise, and the smallest ones for those that would still have none, with this many products, some 3 us of work.
constexpr int64_t kGoodRows = 224, kGoodColumns = 256, kLeastRows = 112, kLeastColumns = 128;
constexpr int64_t kSmallRows = 28, kSmallColumns = kMostPanels * kPanel, kLeastProducts = int64_t{1} << 18;

// A is read where it lies if no more columns of B than these meet it, its rows or its columns, unless its stride maps it to few
// cache sets.
constexpr int64_t kInPlaceOfRows = 640, kInPlaceOfColumns = 128;

// A block of patches and the rows below it that its further rows of taps read.
constexpr int64_t kGatheredFloats = 320 * kPackedStride;

constexpr size_t kBlockBytes = kGatheredFloats * sizeof(float) + 64;
constexpr size_t kPanelsFloats = kMostPanels * kBlockK * kPanel;
static_assert(kBlockBytes + kPanelsFloats * (sizeof(float) + sizeof(uint16_t)) <= kGemmWorkspaceBytes);

struct Product {
  int64_t m, n, k;
  const GemmMatrix& a;
  const GemmMatrix& b;
  float* c;
  int64_t stride;
  const GemmOptions& options;
  const std::atomic<bool>* cancelled;  // nullptr: not polled
};

struct Tile {
  int64_t i0, i1, j0, j1;
};

// Products [k0, k0 + depth) of the sums.
struct Products {
  int64_t k0, depth;
};

// The order of a product's blocks of k. In general one run, from first to last. The patches of a picture, seen one row of taps
// lower, are the patches that lie one row of patches lower: k is then cut into a run of `width` for each row of taps, and one
// gathering of A serves the same block of all runs, block after block. The order depends on the operands alone, not on tiles.
struct Walk {
  int64_t runs, width, depth;
  int64_t count() const { return runs * std::max<int64_t>(1, (width + depth - 1) / depth); }  // one even for k = 0
  Products at(int64_t i) const {
    const int64_t begin = i / runs * depth;
    return {i % runs * width + begin, std::min(depth, width - begin)};
  }
};

int64_t blocksOf(int64_t k) { return (k + kBlockK - 1) / kBlockK; }

Walk walkOf(const Product& p) {
  const Walk plain = {1, p.k, kBlockK};
  const Patches& patches = p.a.patches;
  if (p.a.kind != Kind::patches || patches.step != 1 || fewRowsPay(p.m, p.a, p.b, p.options)) return plain;
  const int64_t runs = patches.tapRows, width = patches.tapColumns * patches.channels, blocks = blocksOf(width);
  if (runs == 1 || width == 0 || 5 * runs * blocks > 6 * blocksOf(p.k)) return plain;  // more blocks, more passes over C
  return {runs, width, (width + blocks * kPanel - 1) / (blocks * kPanel) * kPanel};
}

// A's block as the micro-kernel reads it.
struct ABlock {
  const float* data;
  int64_t stride;  // 0: packed columns, [group][k][height]
  ALayout layout;
};

ABlock blockOfA(const Product& p, int64_t i0, const RowGroups& groups, int64_t columns, int64_t k0, int64_t depth,
                float* space) {
  const int64_t most = p.a.kind == Kind::rows ? kInPlaceOfRows : kInPlaceOfColumns;
  const bool inPlace = columns <= most && p.a.stride % 512 != 0;
  if (p.a.kind == Kind::columns) {
    if (inPlace) return {p.a.data + k0 * p.a.stride + i0, p.a.stride, ALayout::columns};
    packColumns(p.a, i0, groups, k0, depth, space);
    return {space, 0, ALayout::columns};
  }
  if (p.a.kind == Kind::rows && inPlace)
    return {p.a.data + i0 * p.a.stride + k0, p.a.stride, ALayout::rows};
  packRows(p.a, i0, groups.rows, k0, depth, space);
  return {space, kPackedStride, ALayout::rows};
}

// Floats between gathered rows of patches, an odd number of cache lines; 0 if the block and the rows below it are too many or
// not of one picture.
int64_t gatheredStride(const Walk& walk, const Patches& patches, int64_t i0, int64_t rows) {
  const int64_t each = patches.patchRows * patches.patchColumns;
  const int64_t stride = (walk.depth / 16 | 1) * 16;
  const bool fits = (rows + (walk.runs - 1) * patches.patchColumns) * stride <= kGatheredFloats;
  return walk.runs > 1 && fits && i0 / each == (i0 + rows - 1) / each ? stride : 0;
}

struct BPanels {
  const void* data;
  int64_t panelBytes;
  DType dtype;
};

bool inPlaceB(const Product& p, const ABlock& a) { return p.b.kind == Kind::weightTransposed && a.layout == ALayout::rows; }

// A frozen weight's own panels where they can be read in place.
BPanels panelsOfWeight(const PackedMatrix& w, int64_t j0, int64_t k0) {
  const int64_t place = kPanel * static_cast<int64_t>(dtypeBytes(w.dtype));
  return {static_cast<const char*>(w.data) + (j0 / kPanel * w.cols + k0) * place, w.cols * place, w.dtype};
}

// A part of a frozen B that will be packed or read next, asked for in steps: weights come from memory, in runs too short or
// too far apart for the hardware to foresee.
class Ahead {
 public:
  Ahead(const GemmMatrix& b, int64_t j0, int64_t columns, int64_t k0, int64_t depth) : b_(b), j0_(j0), k0_(k0) {
    if (!b.packed.data || columns <= 0 || depth <= 0) return;
    const bool inPlace = b.kind == Kind::weightTransposed;
    const int64_t along = inPlace ? columns : depth, across = inPlace ? depth : columns;
    lines_ = (across * kPanel * static_cast<int64_t>(dtypeBytes(b.packed.dtype)) + 63) / 64;
    total_ = (along + kPanel - 1) / kPanel * lines_;
  }
  void ask(int64_t step, int64_t steps) const {
    eachLine(total_ * step / steps, total_ * (step + 1) / steps, lines_, [&](int64_t i) { return run(i); },
             [](const char* line) { askFor(line); });
  }

 private:
  const char* run(int64_t i) const {
    if (b_.kind != Kind::weightTransposed) return placeOf(b_, k0_ + i * kPanel, j0_);
    return static_cast<const char*>(panelsOfWeight(b_.packed, j0_ + i * kPanel, k0_).data);
  }
  const GemmMatrix& b_;
  int64_t j0_, k0_, lines_ = 1, total_ = 0;
};

MicroKernel kernelFor(const MicroKernels& kernels, ALayout layout, DType dtype, bool keep, int height, int64_t panels) {
  if (keep && dtype != DType::f32) return kernels.keep[dtype == DType::f16 ? 0 : 1][height - 1][panels - 1];
  if (layout == ALayout::columns) return kernels.columns[height - 1][panels - 1];
  return kernels.rows[dtype == DType::f32 ? 0 : dtype == DType::f16 ? 1 : 2][height - 1][panels - 1];
}

// One block of rows times one block of k, over all columns of the tile. 16-bit panels, B's own or turned ones, are widened by the
// first group and kept for the others.
void multiplyBlock(const Product& p, int64_t i0, int64_t j0, int64_t j1, const Products& now, const Products& next,
                   const RowGroups& groups, const ABlock& a, float* space) {
  const MicroKernels& kernels = microKernels();
  const int64_t wide = kernels.maxPanels * kPanel, k0 = now.k0, depth = now.depth;
  const GemmOptions& o = p.options;
  for (int64_t j = j0; j < j1; j += wide) {
    const int64_t columns = std::min(j1 - j, wide);
    const int64_t panels = (columns + kPanel - 1) / kPanel;
    const bool inPlace = inPlaceB(p, a), several = groups.count > 1;
    const bool turned = several && a.layout == ALayout::rows && turnsWhole(p.b, columns, depth);
    const bool keep = turned || (inPlace && p.b.packed.dtype != DType::f32 && several);
    const BPanels packed = {space, depth * kPanel * int64_t{sizeof(float)}, DType::f32};
    const BPanels first = turned    ? BPanels{space + kPanelsFloats, depth * kPanel * int64_t{sizeof(uint16_t)}, p.b.packed.dtype}
                          : inPlace ? panelsOfWeight(p.b.packed, j, k0)
                                    : packed;
    if (turned)
      packHalves(p.b, j, columns, k0, depth, space + kPanelsFloats);
    else if (!inPlace)
      packPanels(p.b, j, columns, k0, depth, space);
    const Ahead ahead = j + wide < j1
                            ? Ahead(p.b, j + wide, std::min(j1 - j - wide, wide), k0, depth)
                            : Ahead(p.b, j0, std::min(j1 - j0, wide), next.k0, next.depth);
    for (int64_t g = 0; g < groups.count; g++) {
      const BPanels b = keep && g > 0 ? packed : first;
      const int height = groups.height(g);
      const int64_t row = groups.begin(g);
      const MicroArgs args = {
          .a = a.data + row * (a.layout == ALayout::rows ? a.stride : a.stride ? 1 : depth),
          .aStride = a.stride ? a.stride : height,
          .b = b.data,
          .panelBytes = b.panelBytes,
          .depth = depth,
          .c = p.c + (i0 + row) * p.stride + j,
          .cStride = p.stride,
          .columns = static_cast<int>(columns),
          .accumulate = o.accumulate || k0 > 0,
          .scale = o.scale,
          .columnScale = o.columnScale ? o.columnScale + j : nullptr,
          .bias = o.bias && k0 == 0 ? o.bias + j : nullptr,
          .wide = space,
      };
      ahead.ask(g, groups.count);
      kernelFor(kernels, a.layout, b.dtype, keep, height, panels)(&args);
    }
  }
}

void multiplyTile(const Product& p, const Tile& tile, void* workspace) {
  float* const aSpace = static_cast<float*>(workspace);
  float* const bSpace = reinterpret_cast<float*>(static_cast<char*>(workspace) + kBlockBytes);
  const Walk walk = walkOf(p);
  const int64_t rows = tile.i1 - tile.i0;
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t i0 = tile.i0 + rows * block / blocks, i1 = tile.i0 + rows * (block + 1) / blocks;
    const RowGroups groups(i1 - i0, microKernels().maxRows);
    const int64_t stride = gatheredStride(walk, p.a.patches, i0, groups.rows), below = p.a.patches.patchColumns;
    for (int64_t i = 0; i < walk.count(); i++) {
      if (p.cancelled && p.cancelled->load(std::memory_order_relaxed)) return;
      const Products now = walk.at(i), next = i + 1 < walk.count() ? walk.at(i + 1) : Products{0, 0};
      const int64_t run = i % walk.runs;
      if (stride > 0 && run == 0)
        packPatches(p.a.patches, i0, groups.rows + (walk.runs - 1) * below, now.k0, now.depth, stride, aSpace);
      const ABlock a = stride > 0 ? ABlock{aSpace + run * below * stride, stride, ALayout::rows}
                                  : blockOfA(p, i0, groups, tile.j1 - tile.j0, now.k0, now.depth, aSpace);
      multiplyBlock(p, i0, tile.j0, tile.j1, now, next, groups, a, bSpace);
    }
  }
}

struct Grid {
  int64_t rows = 1, columns = 1;
  int64_t tiles() const { return rows * columns; }
};

// Gives more threads a tile each, columns cut first: B is then packed once.
void cutSmall(Grid& grid, int64_t m, int64_t n, int64_t k, int threads) {
  while (grid.tiles() < threads) {
    const bool cutColumns = n / (grid.columns + 1) >= kSmallColumns, cutRows = m / (grid.rows + 1) >= kSmallRows;
    if (!cutColumns && !cutRows) return;
    Grid next = grid;
    (cutColumns ? next.columns : next.rows)++;
    if (m * n * k / next.tiles() < kLeastProducts) return;
    grid = next;
  }
}

// Cuts the longer side first, until there are as many tiles as wanted or the next ones would be smaller than said.
void cut(Grid& grid, int64_t m, int64_t n, int64_t wanted, int64_t leastRows, int64_t leastColumns) {
  while (grid.tiles() < wanted) {
    const bool cutRows = m / (grid.rows + 1) >= leastRows, cutColumns = n / (grid.columns + 1) >= leastColumns;
    if (!cutRows && !cutColumns) return;
    const bool rowsAreLonger = m / grid.rows >= n / grid.columns;
    if (cutRows && (rowsAreLonger || !cutColumns))
      grid.rows++;
    else
      grid.columns++;
  }
}

// How many tiles: at least two per thread if they stay large enough, and a whole number of tiles per thread.
Grid gridFor(int64_t m, int64_t n, int64_t k, int threads) {
  Grid grid;
  grid.rows = (m + kBlockRows - 1) / kBlockRows;
  if (threads > 1) cut(grid, m, n, 2 * int64_t{threads}, kGoodRows, kGoodColumns);
  if (threads > 1) cut(grid, m, n, threads, kLeastRows, kLeastColumns);
  if (grid.tiles() < threads) cutSmall(grid, m, n, k, threads);
  if (grid.tiles() < threads) return grid;
  int64_t& side = grid.rows > 1 ? grid.rows : grid.columns;
  const int64_t other = grid.tiles() / side, step = threads / std::gcd(int64_t{threads}, other);
  if (side > 1) side = (side + step - 1) / step * step;
  return grid;
}

GemmMatrix plain(Kind kind, const float* p, int64_t stride) {
  GemmMatrix matrix{};
  matrix.kind = kind;
  matrix.data = p;
  matrix.stride = stride;
  return matrix;
}

GemmMatrix frozen(Kind kind, const PackedMatrix& packed) {
  GemmMatrix matrix{};
  matrix.kind = kind;
  matrix.packed = packed;
  return matrix;
}

}  // namespace

GemmMatrix rowsOf(const float* p, int64_t stride) { return plain(Kind::rows, p, stride); }
GemmMatrix columnsOf(const float* p, int64_t stride) { return plain(Kind::columns, p, stride); }

GemmMatrix weightTransposed(const Tensor& w) {
  return w.packed ? frozen(Kind::weightTransposed, *w.packed) : columnsOf(w.f32(), w.size() / w.dims[0]);
}

GemmMatrix weightOf(const Tensor& w) {
  return w.packed ? frozen(Kind::weight, *w.packed) : rowsOf(w.f32(), w.size() / w.dims[0]);
}

GemmMatrix weightTaps(const Tensor& w, const Taps& taps) {
  GemmMatrix matrix = w.packed ? frozen(Kind::weightTaps, *w.packed) : plain(Kind::weightTaps, w.f32(), 0);
  matrix.taps = taps;
  return matrix;
}

GemmMatrix patchesOf(const Patches& patches) {
  GemmMatrix matrix{};
  matrix.kind = Kind::patches;
  matrix.patches = patches;
  return matrix;
}

void gemmTile(void* workspace, int64_t m, int64_t n, int64_t k, const GemmMatrix& a, const GemmMatrix& b, float* c,
              int64_t stride, const GemmOptions& options) {
  if (m == 0 || n == 0) return;
  multiplyTile({m, n, k, a, b, c, stride, options, nullptr}, {0, m, 0, n}, workspace);
}

void gemm(Context& context, int64_t m, int64_t n, int64_t k, const GemmMatrix& a, const GemmMatrix& b, float* c,
          int64_t stride, const GemmOptions& options) {
  if (m == 0 || n == 0) return;
  const Product product{m, n, k, a, b, c, stride, options, &context.cancelled};
  const Grid grid = gridFor(m, n, k, context.pool.threads());
  const bool fewRows = grid.rows == 1 && fewRowsPay(m, a, b, options);
  constexpr int64_t unit = kMostPanels * kPanel;  // tiles begin at whole micro-tiles, whatever the grid
  const int64_t units = (n + unit - 1) / unit;
  context.pool.run(grid.tiles(), [&](int64_t task, int thread) {
    const int64_t row = task % grid.rows, column = task / grid.rows;
    const Tile tile = {m * row / grid.rows, m * (row + 1) / grid.rows, units * column / grid.columns * unit,
                       std::min(n, units * (column + 1) / grid.columns * unit)};
    if (tile.j0 >= tile.j1) return;
    if (fewRows)
      multiplyFewRows({m, k, a, b, c, stride, context.cancelled}, tile.j0, tile.j1, context.workspace(thread));
    else
      multiplyTile(product, tile, context.workspace(thread));
  });
}

}  // namespace tlora
