// Runs native/cuda/matmul.cpp over a stand-in for cuBLASLt, without a device: what it describes by columns must be the row-major product that was
// asked for, in every type, transposition, batch and way of adding. Built by scripts/compile-cuda.mjs. Ends with 1 when a product is wrong.
#include <cstdio>
#include <string>
#include <vector>

#include "core/half.h"
#include "cuda/convert.h"
#include "cuda/libraryState.h"
#include "cuda/matmul.h"
#include "standIn.h"

namespace tlora::cuda {

// In place of the kernel.
void addToRows(Context&, DType dtype, void* y, int64_t rows, int64_t columns, const void* b) {
  for (int64_t i = 0; i < rows * columns; i++) putFloat(y, dtype, i, floatAt(y, dtype, i) + floatAt(b, dtype, i % columns));
}

namespace {

int wrong = 0, done = 0;

void expect(bool truth, const std::string& what) {
  done++;
  if (truth) return;
  wrong++;
  printf("wrong: %s\n", what.c_str());
}

// Whole numbers from -1 to 1, so that sums are exact in every type, each element its own.
struct Memory {
  DType dtype;
  std::vector<char> bytes;
  Memory(const Memory&) = delete;  // its copy would begin elsewhere
  Memory(DType dtype, int64_t count, int seed) : dtype(dtype), bytes(size_t(count) * dtypeBytes(dtype) + 64) {
    for (int64_t i = 0; i < count; i++) putFloat(data(), dtype, i, float((i * 7 + i / 5 + i / 11 + seed) % 3 - 1));
  }
  char* data() { return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64); }
  float at(int64_t i) { return floatAt(data(), dtype, i); }
};

enum class Adding { nothing, bias, toC, residual, biasToC, biasAndResidual };
constexpr const char* kAdding[] = {"nothing", "a bias", "to c", "a residual", "a bias to c", "a bias and a residual"};
constexpr bool addsBias(Adding a) { return a == Adding::bias || a == Adding::biasToC || a == Adding::biasAndResidual; }
constexpr bool addsResidual(Adding a) { return a == Adding::residual || a == Adding::biasAndResidual; }
constexpr bool addsToC(Adding a) { return a == Adding::toC || a == Adding::biasToC; }

struct Case {
  DType operands, result;
  bool transposeA, transposeB, interleaved;
  int64_t batch, m, n, k;
  Adding adding;
  std::string text() const {
    return "type " + std::to_string(int(operands)) + " to " + std::to_string(int(result)) + (transposeA ? " t" : " n") + (transposeB ? "t " : "n ") +
           std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) + " batch " + std::to_string(batch) +
           (interleaved ? " side by side" : "") + " adding " + kAdding[int(adding)];
  }
};

// Rows of one product: below each other, or beside those of the others.
struct Place {
  int64_t ld, stride, count;
  Place(int64_t rows, int64_t columns, const Case& c)
      : ld(c.interleaved ? columns * c.batch : columns), stride(c.interleaved ? columns : rows * columns), count(rows * columns * c.batch) {}
};

struct Run {
  Context context;
  Libraries libraries{ChoiceOrigin{"a device", "", ""}};
  Run() { context.libraries = &libraries, context.workspaceBytes = kDeviceWorkspaceBytes; }
};

void check(Run& run, const Case& x) {
  const Place a = x.transposeA ? Place(x.k, x.m, x) : Place(x.m, x.k, x), b = x.transposeB ? Place(x.n, x.k, x) : Place(x.k, x.n, x), c(x.m, x.n, x);
  Memory A(x.operands, a.count, 1), B(x.operands, b.count, 2), C(x.result, c.count, 3), before(x.result, c.count, 3), added(x.result, c.count, 4), bias(x.result, x.n, 5);
  Matmul p{.a = A.data(), .b = B.data(), .c = C.data(), .aType = x.operands, .bType = x.operands, .cType = x.result};
  p.m = x.m, p.n = x.n, p.k = x.k, p.lda = a.ld, p.ldb = b.ld, p.ldc = c.ld, p.transposeA = x.transposeA, p.transposeB = x.transposeB;
  p.batch = x.batch, p.strideA = a.stride, p.strideB = b.stride, p.strideC = c.stride, p.alpha = 0.5f;
  if (addsBias(x.adding)) p.bias = bias.data();
  if (addsResidual(x.adding)) p.residual = added.data();
  if (addsToC(x.adding)) p.beta = 1;
  try {
    matmul(run.context, p);
  } catch (const std::exception& error) {
    return expect(false, x.text() + ": " + error.what());
  }
  for (int64_t i = 0; i < x.batch * x.m * x.n; i++) {
    const int64_t product = i / (x.m * x.n), row = i / x.n % x.m, column = i % x.n, place = product * c.stride + row * c.ld + column;
    float sum = 0;
    for (int64_t l = 0; l < x.k; l++) {
      sum += A.at(product * a.stride + (x.transposeA ? l * a.ld + row : row * a.ld + l)) *
             B.at(product * b.stride + (x.transposeB ? column * b.ld + l : l * b.ld + column));
    }
    sum *= 0.5f;
    if (p.bias) sum += bias.at(column);
    if (p.residual) sum += added.at(place);
    if (p.beta != 0) sum += before.at(place);
    if (C.at(place) != sum) return expect(false, x.text() + ": another product");
  }
  expect(true, "");
}

void checkAll(Run& run) {
  constexpr DType kTypes[][2] = {{DType::f32, DType::f32}, {DType::bf16, DType::bf16}, {DType::bf16, DType::f32}, {DType::f16, DType::f16}, {DType::f16, DType::f32}};
  for (const bool tf32 : {false, true}) {
    run.context.tf32 = tf32;
    for (const auto& [operands, result] : kTypes)
      for (const bool transposeA : {false, true})
        for (const bool transposeB : {false, true})
          for (const int64_t batch : {1, 3})
            for (const bool interleaved : {false, true})
              for (const Adding adding : {Adding::nothing, Adding::bias, Adding::toC, Adding::residual, Adding::biasToC, Adding::biasAndResidual})
                check(run, {operands, result, transposeA, transposeB, interleaved, batch, 5, 6, 7, adding});
  }
}

constexpr Case biased(int64_t k, Adding adding = Adding::bias) { return {DType::bf16, DType::bf16, false, true, false, 1, 4, 64, k, adding}; }

void checkQuestions() {
  Run run;
  check(run, biased(256));
  expect(products::seen.scheme == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, "a k of whole tiles may be split, with float32 partial sums alone");
  expect(products::seen.alignments[0] == 64 && products::seen.alignments[3] == 64, "what begins on 64 bytes is said to");
  check(run, biased(77));
  expect(products::seen.scheme == CUBLASLT_REDUCTION_SCHEME_NONE, "a k that ends within a tile is not split");
  expect(products::seen.alignments[0] == 2 && products::seen.alignments[1] == 2, "rows of 77 begin on 2 bytes");
}

// Without the epilogue, and again from the text of the choice.
void checkBiasApart() {
  products::settings.refuseBias = true;
  Run run;
  check(run, biased(256));
  expect(run.libraries.choices.json().find("\"bias apart a1 ") != std::string::npos, "the choice says that the bias is added apart");
  Run again;
  Reason reason;
  expect(again.libraries.choices.read(run.libraries.choices.json(), false, reason), "choices are read again");
  const int asked = products::seen.asked;
  check(again, biased(256));
  expect(products::seen.asked == asked, "a kept choice is not asked for again");
  check(again, biased(256, Adding::biasToC));
  check(again, biased(256, Adding::biasAndResidual));
  products::settings.refuseBias = false;
}

}  // namespace
}  // namespace tlora::cuda

int main() {
  using namespace tlora::cuda;
  Run run;
  checkAll(run);
  checkQuestions();
  checkBiasApart();
  printf("products: %d of %d wrong\n", wrong, done);
  return wrong == 0 ? 0 : 1;
}
