#include "machine.h"

namespace tlora::addon {

std::vector<std::string> cpuFeatures() {
  std::vector<std::string> features;
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
#define TLORA_FEATURE(name) \
  if (__builtin_cpu_supports(name)) features.push_back(name)
  TLORA_FEATURE("sse4.2");
  TLORA_FEATURE("avx");
  TLORA_FEATURE("f16c");
  TLORA_FEATURE("fma");
  TLORA_FEATURE("avx2");
  TLORA_FEATURE("avx512f");
  TLORA_FEATURE("avx512bw");
  TLORA_FEATURE("avx512vl");
  TLORA_FEATURE("avx512bf16");
#undef TLORA_FEATURE
#elif defined(__aarch64__)
  features.push_back("neon");
#endif
  return features;
}

}  // namespace tlora::addon
