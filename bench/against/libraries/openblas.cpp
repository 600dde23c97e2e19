#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "contender.h"

namespace tlora::bench {
namespace {

using Sgemm = void (*)(int order, int transA, int transB, int m, int n, int k, float alpha, const float* a, int lda,
                       const float* b, int ldb, float beta, float* c, int ldc);
constexpr int kRowMajor = 101, kNo = 111, kTrans = 112;

Sgemm openSgemm(const char* path, int threads) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(dlerror());
  const auto sgemm = reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm"));
  const auto setThreads = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads"));
  if (!sgemm || !setThreads) throw std::runtime_error(std::string(path) + " is not OpenBLAS");
  setThreads(threads);
  return sgemm;
}

}  // namespace

Work openblasProduct(const char* library, int threads, std::istream& words) {
  static const Sgemm sgemm = openSgemm(library, threads);
  int transA, transB, m, n, k;
  if (!(words >> transA >> transB >> m >> n >> k)) throw std::runtime_error("product: five numbers expected");
  const auto a = std::make_shared<Floats>(int64_t{m} * k), b = std::make_shared<Floats>(int64_t{k} * n);
  const auto c = std::make_shared<Floats>(int64_t{m} * n);
  return [=] {
    sgemm(kRowMajor, transA ? kTrans : kNo, transB ? kTrans : kNo, m, n, k, 1, a->data, transA ? m : k, b->data,
          transB ? k : n, 0, c->data, n);
  };
}

}  // namespace tlora::bench
