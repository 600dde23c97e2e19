// A tensor as a kernel sees it: a pointer, a type and sizes. Row-major and contiguous; pictures are [n, h, w, c].
#pragma once
#include <cstddef>
#include <cstdint>

namespace tlora {

enum class DType : uint8_t { f32 = 0, f16 = 1, bf16 = 2, i32 = 3 };

inline size_t dtypeBytes(DType t) { return t == DType::f16 || t == DType::bf16 ? 2 : 4; }

constexpr int kMaxRank = 6;

// A frozen weight packed for GEMM, seen as a matrix [rows = out, cols = everything else]: conv weights [out, kh, kw, in]
// have cols = kh * kw * in. Rows are cut into panels of kPanel; inside a panel the columns follow each other and the
// kPanel rows of one column are contiguous: element (row, col) is at ((row / kPanel) * cols + col) * kPanel + row % kPanel.
// Rows past the last one are zero. Elements keep the stored type; kernels widen to float32.
constexpr int64_t kPanel = 16;

struct PackedMatrix {
  const void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0;
};

struct Tensor {
  void* data = nullptr;                  // nullptr: absent input, or an output that nobody asked for
  const PackedMatrix* packed = nullptr;  // set instead of data for a frozen weight read as a matrix
  DType dtype = DType::f32;
  int rank = 0;
  int64_t dims[kMaxRank] = {};

  bool present() const { return data != nullptr || packed != nullptr; }
  float* f32() const { return static_cast<float*>(data); }
  const int32_t* i32() const { return static_cast<const int32_t*>(data); }
  int64_t last() const { return dims[rank - 1]; }
  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= dims[i];
    return n;
  }
  int64_t rows() const { return rank == 0 ? 1 : size() / last(); }  // all but the last size
};

}  // namespace tlora
