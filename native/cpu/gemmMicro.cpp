// Tables of micro-kernels, one for each kind of CPU: 14 x 32 with AVX-512 (28 of 32 registers are sums), 6 x 16 with
// AVX2 (12 of 16), and what plain C++ gets into 16 or 32 registers of four lanes.
#include "gemmMicro.h"

#include <utility>

namespace tlora {
namespace {

template <CpuPath path, int panels, int... row>
void fillPanels(MicroKernels& kernels, std::integer_sequence<int, row...>) {
  ((kernels.rows[0][row][panels - 1] = compiled<path, Micro<row + 1, panels, ALayout::rows, DType::f32>>()), ...);
  ((kernels.rows[1][row][panels - 1] = compiled<path, Micro<row + 1, panels, ALayout::rows, DType::f16>>()), ...);
  ((kernels.rows[2][row][panels - 1] = compiled<path, Micro<row + 1, panels, ALayout::rows, DType::bf16>>()), ...);
  ((kernels.keep[0][row][panels - 1] = compiled<path, Micro<row + 1, panels, ALayout::rows, DType::f16, Extra::keep>>()), ...);
  ((kernels.keep[1][row][panels - 1] = compiled<path, Micro<row + 1, panels, ALayout::rows, DType::bf16, Extra::keep>>()), ...);
  ((kernels.ask[row][panels - 1] = compiled<path, Micro<row + 1, panels, ALayout::rows, DType::f32, Extra::ask>>()), ...);
  ((kernels.columns[row][panels - 1] = compiled<path, Micro<row + 1, panels, ALayout::columns, DType::f32>>()), ...);
}

template <CpuPath path, int rows, int panels>
MicroKernels table() {
  MicroKernels kernels{};
  kernels.maxRows = rows;
  kernels.maxPanels = panels;
  fillPanels<path, 1>(kernels, std::make_integer_sequence<int, rows>());
  if constexpr (panels == 2) fillPanels<path, 2>(kernels, std::make_integer_sequence<int, rows>());
  return kernels;
}

}  // namespace

void finishPart(const MicroArgs* args, const float* tile, int rows, int width) {
  for (int r = 0; r < rows; r++) {
    float* c = args->c + r * args->cStride;
    for (int j = 0; j < args->columns; j++) {
      const float factor = args->columnScale ? args->scale * args->columnScale[j] : args->scale;
      const float sum = tile[r * width + j] * factor + (args->bias ? args->bias[j] : 0.0f);
      c[j] = args->accumulate ? sum + c[j] : sum;
    }
  }
}

const MicroKernels& microKernels() {
  static const MicroKernels chosen = [] {
#if defined(TLORA_X86_PATHS)
    if (cpuPath() == CpuPath::avx512) return table<CpuPath::avx512, 14, 2>();
    if (cpuPath() == CpuPath::avx2) return table<CpuPath::avx2, 6, 1>();
#endif
    return table<CpuPath::portable, kPortableRows, 1>();
  }();
  return chosen;
}

}  // namespace tlora
