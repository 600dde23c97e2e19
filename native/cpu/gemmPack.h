// Blocks of an operand, copied into the order in which the micro-kernel reads them.
#pragma once
#include <algorithm>

#include "gemm.h"
#include "gemmMicro.h"

namespace tlora {

// Floats between packed rows of A: an odd number of cache lines, so that the rows of a tile lie in different sets.
constexpr int64_t kPackedStride = kBlockK + 16;

// A block of `rows` x `depth` is cut into groups of nearly equal height, one micro-kernel call each.
struct RowGroups {
  int64_t rows;
  int64_t count;
  RowGroups(int64_t rows, int maxRows) : rows(rows), count((rows + maxRows - 1) / maxRows) {}
  int64_t begin(int64_t group) const { return rows * group / count; }
  int height(int64_t group) const { return static_cast<int>(begin(group + 1) - begin(group)); }
};

// Rows i0 .. of A, k in [k0, k0 + depth), as [row][kPackedStride]: kinds rows and patches.
void packRows(const GemmMatrix& a, int64_t i0, int64_t rows, int64_t k0, int64_t depth, float* out);

// Rows i0 .. i0 + rows of patches, columns [column, column + depth), as [row][stride]. All rows are of the picture of the first:
// those past its patches lie below it, where its last patches' further rows of taps look.
void packPatches(const Patches& patches, int64_t i0, int64_t rows, int64_t column, int64_t depth, int64_t stride, float* out);

// The same as packRows for kind columns, as [group][k][height of the group]. Writes up to 16 floats past the end.
void packColumns(const GemmMatrix& a, int64_t i0, const RowGroups& groups, int64_t k0, int64_t depth, float* out);

// Columns j0 .. j0 + columns of B, k in [k0, k0 + depth), as panels [panel][depth][16] of float32, zero past the last column.
void packPanels(const GemmMatrix& b, int64_t j0, int64_t columns, int64_t k0, int64_t depth, float* out);

// The same of a frozen 16-bit B of kind weight or weightTaps in B's own type, for micro-kernels that widen and keep; only if
// the panels consist of whole 16 x 16 blocks of it.
bool turnsWhole(const GemmMatrix& b, int64_t columns, int64_t depth);
void packHalves(const GemmMatrix& b, int64_t j0, int64_t columns, int64_t k0, int64_t depth, void* out);

// Where 16 rows of column j of a frozen B of kind weight or weightTaps lie, from row k on (k a multiple of 16).
inline const char* placeOf(const GemmMatrix& b, int64_t k, int64_t j) {
  const PackedMatrix& w = b.packed;
  const bool taps = b.kind == GemmMatrix::Kind::weightTaps;
  const int64_t row = taps ? k % b.taps.outs : k, column = taps ? b.taps.tap[k / b.taps.outs] * b.taps.width + j : j;
  return static_cast<const char*>(w.data) + (row / kPanel * w.cols + column) * kPanel * static_cast<int64_t>(dtypeBytes(w.dtype));
}

// Asks the memory for a cache line, into the second-level cache. Compilers take a function that only asks for one without
// effect and leave out its calls; the empty assembly keeps them.
TLORA_INLINE void askFor(const char* line) {
  __builtin_prefetch(line, 0, 2);
  asm volatile("" : : "r"(line));
}

// body(line) for the lines [from, to) of runs of `lines` cache lines, of which run i begins at run(i).
template <class Run, class Body>
void eachLine(int64_t from, int64_t to, int64_t lines, Run run, Body body) {
  for (int64_t i = from; i < to;) {
    const char* const begin = run(i / lines);
    const int64_t end = std::min(to, (i / lines + 1) * lines);
    for (int64_t line = i % lines; i < end; i++, line++) body(begin + line * 64);
  }
}

// Widens `count` elements (a multiple of 16) of a packed weight.
void widen(const void* p, DType dtype, int64_t count, float* out);

}  // namespace tlora
