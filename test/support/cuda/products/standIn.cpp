#include "standIn.h"

#include <cublasLt.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "core/half.h"

namespace tlora::products {

Settings settings;
Seen seen;

namespace {

struct Description {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  int32_t transA = CUBLAS_OP_N, transB = CUBLAS_OP_N, biasType = -1;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};

struct Layout {
  cudaDataType_t type;
  uint64_t rows, columns;
  int64_t ld;
  int32_t batch = 1;
  int64_t stride = 0;
};

struct Preference {
  uint64_t workspace = 0;
  uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_MASK, a = 256, b = 256, c = 256, d = 256;
};

Description& of(cublasLtMatmulDesc_t x) { return *reinterpret_cast<Description*>(x); }
Layout& of(cublasLtMatrixLayout_t x) { return *reinterpret_cast<Layout*>(x); }
Preference& of(cublasLtMatmulPreference_t x) { return *reinterpret_cast<Preference*>(x); }

template <class T>
cublasStatus_t put(T& to, const void* from, size_t bytes) {
  if (!from || bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
  memcpy(&to, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

DType dtypeOf(cudaDataType_t t) { return t == CUDA_R_16BF ? DType::bf16 : t == CUDA_R_16F ? DType::f16 : DType::f32; }

struct Problem {
  const Description& d;
  const Layout &a, &b, &c, &to;
  uint64_t m, n, k;

  Problem(cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t to)
      : d(of(description)), a(of(a)), b(of(b)), c(of(c)), to(of(to)), m(this->to.rows), n(this->to.columns),
        k(d.transA == CUBLAS_OP_N ? this->a.columns : this->a.rows) {}

  // The table of types in cublasLtMatmul's documentation, for float32 sums.
  bool types() const {
    const bool floats = a.type == CUDA_R_32F;
    const bool sums = d.compute == CUBLAS_COMPUTE_32F || (d.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && floats);
    const bool operands = a.type == b.type && (floats || a.type == CUDA_R_16BF || a.type == CUDA_R_16F);
    const bool results = c.type == to.type && (to.type == a.type || to.type == CUDA_R_32F);
    const bool biased = d.epilogue == CUBLASLT_EPILOGUE_DEFAULT || (d.bias && (d.biasType == -1 || d.biasType == int32_t(to.type)));
    return sums && d.scale == CUDA_R_32F && operands && results && biased;
  }
  bool sizes() const {
    const bool first = (d.transA == CUBLAS_OP_N ? a.rows : a.columns) == m;
    const bool second = (d.transB == CUBLAS_OP_N ? b.rows : b.columns) == k && (d.transB == CUBLAS_OP_N ? b.columns : b.rows) == n;
    return first && second && c.rows == m && c.columns == n;
  }
  bool layouts() const {
    const auto fits = [&](const Layout& x) { return x.ld >= int64_t(x.rows) && x.batch == to.batch; };
    return fits(a) && fits(b) && fits(c) && fits(to);
  }
  bool allowed() const { return types() && sizes() && layouts() && !(settings.refuseBias && d.epilogue == CUBLASLT_EPILOGUE_BIAS); }
};

}  // namespace
}  // namespace tlora::products

using namespace tlora;
using namespace tlora::products;

const char* cublasLtGetStatusString(cublasStatus_t status) { return status == CUBLAS_STATUS_NOT_SUPPORTED ? "not supported" : "invalid"; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t compute, cudaDataType_t scale) {
  *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Description{compute, scale});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t x) {
  delete &of(x);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t x, cublasLtMatmulDescAttributes_t attribute, const void* from, size_t bytes) {
  Description& d = of(x);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return put(d.transA, from, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return put(d.transB, from, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return put(d.epilogue, from, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return put(d.biasType, from, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return put(d.bias, from, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType type, uint64_t rows, uint64_t columns, int64_t ld) {
  *made = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, ld});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t x) {
  delete &of(x);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t x, cublasLtMatrixLayoutAttribute_t attribute, const void* from, size_t bytes) {
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) return put(of(x).batch, from, bytes);
  if (attribute == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) return put(of(x).stride, from, bytes);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t x) {
  delete &of(x);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t x, cublasLtMatmulPreferenceAttributes_t attribute, const void* from,
                                                    size_t bytes) {
  Preference& p = of(x);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return put(p.workspace, from, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return put(p.scheme, from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return put(p.a, from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return put(p.b, from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return put(p.c, from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return put(p.d, from, bytes);
    default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t to, cublasLtMatmulPreference_t preference,
                                              int most, cublasLtMatmulHeuristicResult_t* results, int* count) {
  seen.asked++;
  const Preference& p = of(preference);
  seen.scheme = p.scheme;
  seen.alignments[0] = p.a, seen.alignments[1] = p.b, seen.alignments[2] = p.c, seen.alignments[3] = p.d;
  *count = 0;
  if (!Problem(d, a, b, c, to).allowed()) return CUBLAS_STATUS_NOT_SUPPORTED;
  results[0] = {};
  results[0].algo.data[0] = kFirstAlgorithm;
  results[0].workspaceSize = size_t(p.workspace);
  *count = std::min(most, 1);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t to, const cublasLtMatmulAlgo_t* algorithm,
                                       cublasLtMatmulHeuristicResult_t* result) {
  *result = {};
  return algorithm->data[0] == kFirstAlgorithm && Problem(d, a, b, c, to).allowed() ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha, const void* A, cublasLtMatrixLayout_t a,
                              const void* B, cublasLtMatrixLayout_t b, const void* beta, const void* C, cublasLtMatrixLayout_t c, void* D,
                              cublasLtMatrixLayout_t to, const cublasLtMatmulAlgo_t* algorithm, void*, size_t, cudaStream_t) {
  const Problem p(description, a, b, c, to);
  if (!p.allowed() || algorithm->data[0] != kFirstAlgorithm) return CUBLAS_STATUS_INVALID_VALUE;
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  const auto at = [](const void* data, const Layout& x, bool transposed, int64_t product, uint64_t i, uint64_t j) {
    return floatAt(data, dtypeOf(x.type), product * x.stride + int64_t(transposed ? j : i) + int64_t(transposed ? i : j) * x.ld);
  };
  for (int64_t product = 0; product < p.to.batch; product++) {
    for (uint64_t j = 0; j < p.n; j++) {
      for (uint64_t i = 0; i < p.m; i++) {
        float sum = 0;
        for (uint64_t l = 0; l < p.k; l++) {
          sum += at(A, p.a, p.d.transA == CUBLAS_OP_T, product, i, l) * at(B, p.b, p.d.transB == CUBLAS_OP_T, product, l, j);
        }
        sum *= scale;
        if (keep != 0) sum += keep * at(C, p.c, false, product, i, j);
        if (p.d.epilogue == CUBLASLT_EPILOGUE_BIAS) sum += floatAt(p.d.bias, dtypeOf(p.to.type), int64_t(i));
        putFloat(D, dtypeOf(p.to.type), product * p.to.stride + int64_t(i) + int64_t(j) * p.to.ld, sum);
      }
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}
