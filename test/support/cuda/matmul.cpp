// The twin of native/cuda/matmul.cpp: the same products on the CPU, with float32 sums over k in order, where cuBLASLt would take them.
#include "cuda/matmul.h"

#include "cuda/shapeText.h"
#include "cuda/trials.h"
#include "emulatedLibraries.h"

namespace tlora::cuda {
namespace {

const char* at(const void* data, DType dtype, int64_t index) { return static_cast<const char*>(data) + index * int64_t(dtypeBytes(dtype)); }

// op(matrix) [rows, columns] as plain float32.
std::vector<float> operand(const void* data, DType dtype, int64_t rows, int64_t columns, int64_t ld, bool transposed, bool tf32) {
  const int64_t lines = transposed ? columns : rows, width = transposed ? rows : columns;
  const std::vector<float> plain = floatsOf(data, dtype, (lines - 1) * ld + width, tf32);
  std::vector<float> out(size_t(rows * columns));
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) out[size_t(i * columns + j)] = plain[size_t(transposed ? j * ld + i : i * ld + j)];
  return out;
}

// `to`: where the product goes; what beta counts is read from p.c all the same.
void multiply(const Matmul& p, void* to, int64_t index, bool tf32) {
  const std::vector<float> a = operand(at(p.a, p.aType, index * p.strideA), p.aType, p.m, p.k, p.lda, p.transposeA, tf32);
  const std::vector<float> b = operand(at(p.b, p.bType, index * p.strideB), p.bType, p.k, p.n, p.ldb, p.transposeB, tf32);
  std::vector<float> sums(size_t(p.n));
  for (int64_t i = 0; i < p.m; i++) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (int64_t k = 0; k < p.k; k++) {
      const float factor = a[size_t(i * p.k + k)];
      const float* row = b.data() + k * p.n;
      for (int64_t j = 0; j < p.n; j++) sums[size_t(j)] += factor * row[j];
    }
    for (int64_t j = 0; j < p.n; j++) {
      const int64_t place = index * p.strideC + i * p.ldc + j;
      float sum = p.alpha * sums[size_t(j)];
      if (p.beta != 0) sum += p.beta * floatAt(p.c, p.cType, place);
      if (p.residual) sum += floatAt(p.residual, p.cType, place);
      if (p.bias) sum += floatAt(p.bias, p.cType, j);
      putFloat(to, p.cType, place, sum);
    }
  }
}

// Types that cuBLASLt documents, and rows and products that do not reach into each other.
bool taken(const Matmul& p) {
  const bool types = p.aType == p.bType && (p.cType == p.aType || p.cType == DType::f32);
  const bool rows = p.lda >= (p.transposeA ? p.m : p.k) && p.ldb >= (p.transposeB ? p.k : p.n) && p.ldc >= p.n;
  const bool batch = p.batch == 1 || p.strideC >= p.n;
  return types && rows && batch && !(p.residual && p.beta != 0);
}

}  // namespace

void matmul(Context& context, const Matmul& p) {
  if (p.m == 0 || p.n == 0 || p.batch == 0) return;
  const std::string shape = textOf(context, p);
  if (!taken(p)) {
    fail(kDevice, "operands that cuBLASLt does not take (%s)", shape.c_str());
  }
  const bool tf32 = context.tf32;
  const auto into = [&](void* to) {
    return [p, to, tf32] {
      for (int64_t i = 0; i < p.batch; i++) multiply(p, to, i, tf32);
    };
  };
  const auto tried = [&]() -> std::function<void()> {
    const auto output = std::make_shared<TrialOutput>(p);
    if (!output->c()) return nullptr;
    return [work = into(output->c()), output] { work(); };
  };
  runEmulated(context, {shape, into(p.c), tried, {}});
}

}  // namespace tlora::cuda
