// cuBLASLt reads matrices by columns: a row-major c [m, n] is its column-major [n, m], so c = op(a) op(b) is asked for as
// cᵀ = op(b)ᵀ op(a)ᵀ. Its first operand is b, its second a, each transposed exactly where ours is, and the bias over our columns is
// the one over its rows that the epilogue adds.
#include "matmul.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "convert.h"
#include "libraryState.h"
#include "shapeText.h"
#include "trials.h"

namespace tlora::cuda {
namespace {

constexpr int kCandidates = 8;
// A k of whole tiles, whatever the algorithm's.
constexpr int64_t kLargestTile = 128;
// Before the words of an algorithm whose plan adds the bias apart.
constexpr std::string_view kBiasApart = "bias apart ";

cudaDataType_t dataType(DType t) { return t == DType::bf16 ? CUDA_R_16BF : t == DType::f16 ? CUDA_R_16F : CUDA_R_32F; }

[[noreturn]] void refuse(const std::string& shape, const char* what, cublasStatus_t status) {
  fail(kDevice, "cuBLASLt: %s: %s (%s)", what, cublasLtGetStatusString(status), shape.c_str());
}

struct Checker {
  const std::string& shape;
  void operator()(cublasStatus_t status, const char* what) const {
    if (status != CUBLAS_STATUS_SUCCESS) refuse(shape, what, status);
  }
};

template <class T>
cublasStatus_t set(cublasLtMatmulDesc_t to, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  return cublasLtMatmulDescSetAttribute(to, attribute, &value, sizeof value);
}
template <class T>
cublasStatus_t set(cublasLtMatrixLayout_t to, cublasLtMatrixLayoutAttribute_t attribute, const T& value) {
  return cublasLtMatrixLayoutSetAttribute(to, attribute, &value, sizeof value);
}
template <class T>
cublasStatus_t set(cublasLtMatmulPreference_t to, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  return cublasLtMatmulPreferenceSetAttribute(to, attribute, &value, sizeof value);
}

// A row-major matrix [rows, columns] is the column-major [columns, rows] with the same leading dimension.
cublasLtMatrixLayout_t layout(const Checker& must, DType type, int64_t rows, int64_t columns, int64_t ld, int64_t batch, int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  must(cublasLtMatrixLayoutCreate(&made, dataType(type), uint64_t(columns), uint64_t(rows), ld), "matrix layout");
  if (batch > 1) {
    must(set(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t(batch)), "batch of a matrix layout");
    must(set(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride), "stride of a matrix layout");
  }
  return made;
}

void addBias(const Checker& must, MatmulPlan& plan, bool apart) {
  plan.biasApart = apart;
  must(set(plan.description, CUBLASLT_MATMUL_DESC_EPILOGUE, apart ? CUBLASLT_EPILOGUE_DEFAULT : CUBLASLT_EPILOGUE_BIAS), "epilogue");
}

void describe(const Checker& must, MatmulPlan& plan, const Context& context, const Matmul& p) {
  const bool tf32 = p.aType == DType::f32 && context.tf32;
  must(cublasLtMatmulDescCreate(&plan.description, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F), "description");
  must(set(plan.description, CUBLASLT_MATMUL_DESC_TRANSA, p.transposeB ? CUBLAS_OP_T : CUBLAS_OP_N), "transposition");
  must(set(plan.description, CUBLASLT_MATMUL_DESC_TRANSB, p.transposeA ? CUBLAS_OP_T : CUBLAS_OP_N), "transposition");
  if (p.bias) {
    must(set(plan.description, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, int32_t(dataType(p.cType))), "type of the bias");
    must(set(plan.description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias), "bias");
    addBias(must, plan, false);
  }
  plan.a = layout(must, p.bType, p.transposeB ? p.n : p.k, p.transposeB ? p.k : p.n, p.ldb, p.batch, p.strideB);
  plan.b = layout(must, p.aType, p.transposeA ? p.k : p.m, p.transposeA ? p.m : p.k, p.lda, p.batch, p.strideA);
  plan.c = layout(must, p.cType, p.m, p.n, p.ldc, p.batch, p.strideC);
}

struct Preference {
  cublasLtMatmulPreference_t made = nullptr;
  ~Preference() {
    if (made) cublasLtMatmulPreferenceDestroy(made);
  }
};

// cuBLASLt's list, best first as it thinks; empty where it has none. Partial sums of a split k may be kept in float32 and added in a pass
// of their own, whose order is fixed; reductions in the output's type or in place would round, or wait for each other. A k with a part of a
// tile at its end is not split at all: cuBLASLt 12.8 to 13.2 are reported to leave that part out (8 of 8648, for 16-bit operands), and the
// ks here that have one are short. The bias has no preference of its own.
std::vector<cublasLtMatmulHeuristicResult_t> candidates(const Checker& must, const MatmulPlan& plan, const Context& context, const Matmul& p) {
  const MatmulAlignment align(p);
  Preference preference;
  must(cublasLtMatmulPreferenceCreate(&preference.made), "preference");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    must(set(preference.made, attribute, value), "preference");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(workspaceFor(context)));
  const auto scheme = p.k % kLargestTile == 0 ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : CUBLASLT_REDUCTION_SCHEME_NONE;
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t(scheme));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, uint32_t(align.b));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, uint32_t(align.a));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, uint32_t(align.residual));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, uint32_t(plan.biasApart ? align.c : std::min(align.c, align.bias)));
  std::vector<cublasLtMatmulHeuristicResult_t> results(kCandidates);
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(context.libraries->blas, plan.description, plan.a, plan.b, plan.c, plan.c,
                                                               preference.made, kCandidates, results.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
  must(status, "no algorithm");
  results.resize(size_t(count));
  std::erase_if(results, [](const auto& r) { return r.state != CUBLAS_STATUS_SUCCESS; });
  return results;
}

// Those with the bias in their epilogue, or where there are none, those without it.
std::vector<cublasLtMatmulHeuristicResult_t> candidatesFor(const Checker& must, MatmulPlan& plan, const Context& context, const Matmul& p) {
  if (p.bias) addBias(must, plan, false);
  auto found = candidates(must, plan, context, p);
  if (found.empty() && p.bias && p.batch == 1 && p.ldc == p.n) {
    addBias(must, plan, true);
    found = candidates(must, plan, context, p);
  }
  must(found.empty() ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS, "no algorithm");
  return found;
}

void use(MatmulPlan& plan, const cublasLtMatmulHeuristicResult_t& candidate) {
  plan.algorithm = candidate.algo;
  plan.workspaceBytes = candidate.workspaceSize;
}

// `c`: where the product goes; what beta counts is read from p.c all the same.
void queue(const Checker& must, Context& context, const MatmulPlan& plan, const Matmul& p, void* c) {
  if (p.bias && !plan.biasApart) must(set(plan.description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias), "bias");
  const float beta = p.residual ? 1 : p.beta;
  const void* added = p.residual ? p.residual : p.beta != 0 ? p.c : c;
  must(cublasLtMatmul(context.libraries->blas, plan.description, &p.alpha, p.b, plan.a, p.a, plan.b, &beta, added, plan.c, c, plan.c,
                      &plan.algorithm, context.workspace, workspaceFor(context), context.stream),
       "product");
  if (plan.biasApart) addToRows(context, p.cType, c, p.m, p.n, p.bias);
}

// The opaque words of an algorithm, in hexadecimal; they hold for one version of the library.
std::string wordsOf(const MatmulPlan& plan) {
  std::string text;
  char word[24];
  for (const uint64_t data : plan.algorithm.data) {
    snprintf(word, sizeof word, "%s%llx", text.empty() ? "" : " ", (unsigned long long)data);
    text += word;
  }
  return plan.biasApart ? std::string(kBiasApart) + text : text;
}

void recall(const Checker& must, MatmulPlan& plan, const Context& context, const Matmul& p, const std::string& text) {
  const char* at = text.c_str();
  if (p.bias && text.starts_with(kBiasApart)) {
    addBias(must, plan, true);
    at += kBiasApart.size();
  }
  for (uint64_t& word : plan.algorithm.data) {
    char* end = nullptr;
    word = strtoull(at, &end, 16);
    must(end == at ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS, "the kept choice of an algorithm cannot be read");
    at = end;
  }
  cublasLtMatmulHeuristicResult_t result;
  must(cublasLtMatmulAlgoCheck(context.libraries->blas, plan.description, plan.a, plan.b, plan.c, plan.c, &plan.algorithm, &result),
       "the kept choice of an algorithm does not fit");
  plan.workspaceBytes = result.workspaceSize;
  must(plan.workspaceBytes > workspaceFor(context) ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS,
       "the kept choice of an algorithm needs more workspace");
}

// The fastest candidate, or the first where they are not tried.
Choice choose(const Checker& must, MatmulPlan& plan, Context& context, const Matmul& p) {
  const Trying trying(context);
  const auto found = candidatesFor(must, plan, context, p);
  Verdict verdict;
  if (trying && found.size() > 1) {
    const TrialOutput output(p);
    std::vector<std::function<void()>> algorithms;
    for (const auto& candidate : found) {
      algorithms.push_back([&, candidate] {
        use(plan, candidate);
        queue(must, context, plan, p, output.c());
      });
    }
    if (output.c()) verdict = tryAll(*context.stopwatch, algorithms);
  }
  use(plan, found[verdict.fastest]);
  return {wordsOf(plan), verdict.times};
}

MatmulPlan& planOf(Context& context, const Matmul& p, const std::string& shape) {
  Libraries& libraries = *context.libraries;
  std::unique_ptr<MatmulPlan>& known = libraries.matmuls[shape];
  if (known) return *known;
  const Checker must{shape};
  auto plan = std::make_unique<MatmulPlan>();
  describe(must, *plan, context, p);
  const auto take = [&](const std::string& algorithm) { recall(must, *plan, context, p, algorithm); };
  libraries.choices.settle(shape, take, [&] { return choose(must, *plan, context, p); });
  known = std::move(plan);
  return *known;
}

}  // namespace

void matmul(Context& context, const Matmul& p) {
  if (p.m == 0 || p.n == 0 || p.batch == 0) return;
  const std::string shape = textOf(context, p);
  const Checker must{shape};
  if (p.aType != p.bType || (p.residual && p.beta != 0)) refuse(shape, "operands", CUBLAS_STATUS_INVALID_VALUE);
  queue(must, context, planOf(context, p, shape), p, p.c);
}

}  // namespace tlora::cuda
