// What is behind Libraries: handles, and what was made for each shape so far.
#pragma once
#include <cublasLt.h>
#include <cudnn.h>

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>

#include "choices.h"
#include "context.h"
#include "dnnPlan.h"
#include "libraries.h"

namespace tlora::cuda {

inline size_t workspaceFor(const Context& context) { return std::min(context.workspaceBytes, kLibraryWorkspaceBytes); }

// A product of one shape, ready to be queued. The bias pointer is set in `description` before each use.
struct MatmulPlan {
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;  // of cuBLASLt's operands, which are column-major
  cublasLtMatmulAlgo_t algorithm{};
  size_t workspaceBytes = 0;
  bool biasApart = false;  // added behind the product, as no algorithm has it in its epilogue

  MatmulPlan() = default;
  MatmulPlan(const MatmulPlan&) = delete;
  MatmulPlan& operator=(const MatmulPlan&) = delete;
  ~MatmulPlan() {
    if (c) cublasLtMatrixLayoutDestroy(c);
    if (b) cublasLtMatrixLayoutDestroy(b);
    if (a) cublasLtMatrixLayoutDestroy(a);
    if (description) cublasLtMatmulDescDestroy(description);
  }
};

struct Libraries {
  explicit Libraries(ChoiceOrigin origin) : choices(std::move(origin)) {}
  Libraries(const Libraries&) = delete;
  Libraries& operator=(const Libraries&) = delete;
  ~Libraries() {
    matmuls.clear();
    dnnPlans.clear();
    if (blas) cublasLtDestroy(blas);
    if (dnn.handle) cudnnDestroy(dnn.handle);
  }

  cublasLtHandle_t blas = nullptr;
  DnnTarget dnn;
  Choices choices;
  std::unordered_map<std::string, std::unique_ptr<MatmulPlan>> matmuls;
  // nullptr: the shape is known not to be covered.
  std::unordered_map<std::string, std::unique_ptr<DnnPlan>> dnnPlans;
};

}  // namespace tlora::cuda
