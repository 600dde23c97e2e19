// Tables of attention's micro-kernels, one for each kind of CPU.
#include "attentionMicro.h"

#include <utility>

namespace tlora::attentionTile {
namespace {

template <int R, int P, class Finish>
using Fused = Micro<R, P, ALayout::rows, DType::f32, Extra::none, Finish>;

template <CpuPath path, int panels, int... row>
void fillPanels(AttentionKernels& kernels, std::integer_sequence<int, row...>) {
  ((kernels.probabilities[row][panels - 1] = compiled<path, Fused<row + 1, panels, StoreProbabilities>>()), ...);
  ((kernels.gradients[row][panels - 1] = compiled<path, Fused<row + 1, panels, StoreGradients>>()), ...);
  ((kernels.weights[row][panels - 1] = compiled<path, Fused<row + 1, panels, StoreWeights>>()), ...);
  ((kernels.addRows[row][panels - 1][0] = compiled<path, AddRows<row + 1, panels, false>>()), ...);
}

template <CpuPath path, int panels, int... row>
void fillHalves(AttentionKernels& kernels, std::integer_sequence<int, row...>) {
  ((kernels.addRows[row][panels - 1][1] = compiled<path, AddRows<row + 1, panels, true>>()), ...);
}

template <CpuPath path, int panels, int rows, int halfRows>
void fillTable(AttentionKernels& kernels) {
  kernels.maxRows = rows;
  kernels.maxPanels = panels;
  kernels.halfRows = halfRows;
  fillPanels<path, panels>(kernels, std::make_integer_sequence<int, rows>());
  fillHalves<path, panels>(kernels, std::make_integer_sequence<int, halfRows>());
  if constexpr (panels > 1) fillTable<path, panels - 1, rows, halfRows>(kernels);
  kernels.maxPanels = panels;
}

}  // namespace

const AttentionKernels& attentionKernels() {
  static const AttentionKernels chosen = [] {
    AttentionKernels kernels{};
#if defined(TLORA_X86_PATHS)
    if (cpuPath() == CpuPath::avx512)
      fillTable<CpuPath::avx512, 2, 14, 9>(kernels);
    else if (cpuPath() == CpuPath::avx2)
      fillTable<CpuPath::avx2, 1, 6, 4>(kernels);
    else
#endif
      fillTable<CpuPath::portable, 1, kPortableRows, 0>(kernels);
    return kernels;
  }();
  return chosen;
}

}  // namespace tlora::attentionTile
