// Makes the plans of native/cuda's convolutions and attentions for devices that are only described, which cuDNN 9.8 and newer do without
// a device: so every descriptor, attribute and type is one that cuDNN takes, and every shape has an engine. Says so, a line a shape.
// Engines that compile at run time, those of attention among them, are offered where a driver is installed; elsewhere their graphs are
// made, and the line says that no plan was. Ends with 1 when a graph is refused, a convolution has no engine, or a plan made again from
// the text of its choice needs another workspace.
#include <cstdio>
#include <cstring>
#include <functional>

#include "cuda/attentionGraphs.h"
#include "cuda/convolutionGraphs.h"
#include "cuda/libraries.h"
#include "cuda/shapeText.h"

namespace tlora::cuda {
namespace {

struct Described {
  int capability, multiprocessors, sharedBytes, threads;
};
// A100, A10, L4, H100, RTX 5090.
constexpr Described kDevices[] = {{800, 108, 166912, 2048}, {860, 72, 101376, 1536}, {890, 58, 101376, 1536}, {900, 132, 232448, 2048}, {1200, 170, 101376, 1536}};

Descriptor describe(const Described& d) {
  char json[1200];
  snprintf(json, sizeof json,
           "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,\"multiProcessorCount\":%d,"
           "\"smCountOrigin\":0,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,"
           "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":24,\"maxThreadsPerBlock\":1024,"
           "\"maxThreadsPerSM\":%d,\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":25000000000,"
           "\"smClockRateKHz\":1700000,\"memClockRateKHz\":2600000,\"l2CacheSize\":50000000,\"cudaDeviceId\":0,\"deviceVer\":%d,"
           "\"driverVer\":13000,\"deviceName\":\"described\"}",
           d.multiprocessors, d.sharedBytes, d.threads, d.capability);
  Descriptor made(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  made.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, int64_t(strlen(json)) + 1, json);
  made.finalize("device properties");
  return made;
}

struct Report {
  DnnTarget target;
  int capability = 0, wrong = 0;

  void say(const std::string& shape, const std::function<DnnGraph()>& build, bool strictFloat, bool needed) {
    const DnnRules rules{int64_t(kLibraryWorkspaceBytes), strictFloat};
    Choices choices({"described", "", ""});
    try {
      const auto plan = makePlan(target, build(), rules, shape, &choices);
      if (!plan) {
        wrong += needed;
        printf("sm_%d %s: no engine\n", capability / 10, shape.c_str());
        return;
      }
      const auto again = makePlan(target, build(), rules, shape, &choices);
      const bool same = again && again->workspaceBytes == plan->workspaceBytes;
      wrong += !same;
      std::string kept;
      choices.settle(shape, [&](const std::string& algorithm) { kept = algorithm; }, [] { return Choice{"nothing", ""}; });
      printf("sm_%d %s: %s, workspace %lld%s\n", capability / 10, shape.c_str(), kept.c_str(), (long long)plan->workspaceBytes,
             same ? "" : ", but the kept choice gives another plan");
    } catch (const std::exception& error) {
      wrong++;
      printf("sm_%d %s: %s\n", capability / 10, shape.c_str(), error.what());
    }
  }

  void convolution(const Convolution& s) {
    Context context;
    const bool strict = s.dtype == DType::f32;
    say(textOf(context, s, "forward with residual and bias"), [&] { return convolutionForwardGraph(s, Addends::residualAndBias); }, strict, true);
    say(textOf(context, s, "forward with bias"), [&] { return convolutionForwardGraph(s, Addends::bias); }, strict, true);
    say(textOf(context, s, "forward"), [&] { return convolutionForwardGraph(s, Addends::none); }, strict, true);
    say(textOf(context, s, "data gradient"), [&] { return convolutionDataGraph(s); }, strict, true);
    say(textOf(context, s, "weight gradient"), [&] { return convolutionWeightGraph(s, dnnType(s.dtype)); }, strict, true);
  }

  void attention(const FusedAttention& s) {
    say(textOf(s, "forward"), [&] { return attentionForwardGraph(s); }, false, false);
    for (int64_t heads = s.heads; heads > 0; heads--) {
      if (s.heads % heads != 0 || attentionGradientBytes(s, heads) > int64_t(kLibraryWorkspaceBytes)) continue;
      say(textOf(s, "backward") + " by " + std::to_string(heads) + " heads", [&] { return attentionGradientGraph(s, heads); }, false, false);
      break;
    }
  }
};

Convolution square(DType dtype, int64_t side, int64_t c, int64_t outs, int64_t window, int64_t stride, int64_t before, int64_t after) {
  Convolution s{{.n = 1, .h = side, .w = side, .c = c, .outs = outs, .kh = window, .kw = window}, dtype};
  s.stride = stride, s.padTop = s.padLeft = before, s.padBottom = s.padRight = after;
  s.oh = s.ow = (side + before + after - window) / stride + 1;
  return s;
}

// Queries, keys and values in one tensor.
FusedAttention packed(DType dtype, int64_t n, int64_t heads, int64_t t, int64_t d) {
  return {dtype, n, heads, t, t, d, false, 3 * heads * d, 3 * heads * d};
}

// Keys and values in one tensor.
FusedAttention crossed(DType dtype, int64_t n, int64_t heads, int64_t tq, int64_t tk, int64_t d) {
  return {dtype, n, heads, tq, tk, d, false, heads * d, 2 * heads * d};
}

void report(Report& report, DType dtype) {
  // The networks' ends, a resnet of each level, both kinds of downsampling, the decoder's last resnet, odd sizes, an evaluator's patches.
  for (const Convolution& s : {square(dtype, 128, 4, 320, 3, 1, 1, 1), square(dtype, 128, 320, 4, 3, 1, 1, 1), square(dtype, 128, 320, 320, 3, 1, 1, 1),
                               square(dtype, 64, 640, 640, 3, 1, 1, 1), square(dtype, 32, 1280, 1280, 3, 1, 1, 1), square(dtype, 8, 2560, 1280, 3, 1, 1, 1),
                               square(dtype, 64, 320, 320, 3, 2, 1, 1), square(dtype, 512, 128, 128, 3, 2, 0, 1), square(dtype, 1024, 128, 128, 3, 1, 1, 1),
                               square(dtype, 1024, 3, 128, 3, 1, 1, 1), square(dtype, 9, 5, 7, 3, 2, 1, 1), square(dtype, 224, 3, 768, 32, 32, 0, 0)}) {
    report.convolution(s);
  }
  if (dtype == DType::f32) return;
  for (const FusedAttention& s : {FusedAttention{dtype, 1, 10, 4096, 4096, 64}, FusedAttention{dtype, 1, 20, 1024, 1024, 64},
                                  FusedAttention{dtype, 1, 20, 1024, 77, 64}, FusedAttention{dtype, 1, 8, 4096, 4096, 40},
                                  FusedAttention{dtype, 1, 8, 1024, 77, 80}, FusedAttention{dtype, 2, 8, 256, 256, 160},
                                  packed(dtype, 1, 10, 4096, 64), packed(dtype, 4, 20, 1024, 64), packed(dtype, 1, 8, 4096, 40),
                                  crossed(dtype, 1, 20, 1024, 77, 64), crossed(dtype, 2, 8, 4096, 77, 40)}) {
    report.attention(s);
  }
}

// Versions of cuDNN whose gradient is left alone.
int wrongVersions() {
  const auto works = [](int64_t tq, int64_t tk, size_t version) { return attentionGradientWorks({DType::bf16, 1, 8, tq, tk, 64}, version); };
  const bool right = works(1024, 1024, 91301) && !works(1024, 1024, 91001) && works(1024, 77, 91800) && !works(1024, 77, 91701) &&
                     !works(100, 128, 91701) && !works(64, 64, 92400) && !works(1024, 192, 92400) && !works(1, 128, 92400) && works(64, 128, 92400);
  if (!right) printf("the versions of cuDNN whose gradient of attention works are wrong\n");
  return right ? 0 : 1;
}

}  // namespace
}  // namespace tlora::cuda

int main() {
  using namespace tlora::cuda;
  int wrong = wrongVersions();
  for (const Described& device : kDevices) {
    const Descriptor properties = describe(device);
    Report all{{.deviceProperties = properties.get()}, device.capability};
    for (const tlora::DType dtype : {tlora::DType::bf16, tlora::DType::f16, tlora::DType::f32}) report(all, dtype);
    wrong += all.wrong;
  }
  printf("cuDNN %zu: %d wrong\n", cudnnGetVersion(), wrong);
  return wrong == 0 ? 0 : 1;
}
