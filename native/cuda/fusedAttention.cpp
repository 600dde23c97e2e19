// cuDNN's SDPA operations: one for the forward pass (cuDNN 9.13.1 and newer), one for the backward pass (9.17 and newer). Sizes are in
// the order n, heads, tokens, d; that heads lie within the channels is said by the strides.
#include "fusedAttention.h"

#include <cmath>

#include "libraryState.h"
#include "shapeText.h"

namespace tlora::cuda {
namespace {

enum Uid : int64_t { kQ = 1, kK, kV, kO, kStats, kScale, kDO, kDQ, kDK, kDV };

// The enumerators are newer than the oldest headers that this compiles with.
constexpr auto kForward = cudnnBackendDescriptorType_t(41), kBackward = cudnnBackendDescriptorType_t(43);
constexpr size_t kForwardSince = 91301, kBackwardSince = 91700;
enum ForwardAttribute { kForwardQ = 2800, kForwardK, kForwardV, kForwardO, kForwardStats, kForwardScale };
enum BackwardAttribute {
  kBackwardQ = 2851,
  kBackwardK,
  kBackwardV,
  kBackwardO,
  kBackwardStats,
  kBackwardScale,
  kBackwardDQ = 2859,
  kBackwardDK,
  kBackwardDV,
  kBackwardDO
};

DnnTensor tokens(int64_t uid, const FusedAttention& s, int64_t count) {
  const int64_t row = s.heads * s.d;
  return {uid, dnnType(s.dtype), {s.n, s.heads, count, s.d}, {count * row, s.d, row, 1}};
}
DnnTensor statistics(const FusedAttention& s) {
  return {kStats, CUDNN_DATA_FLOAT, {s.n, s.heads, s.tq, 1}, {s.heads * s.tq, s.tq, 1, 1}};
}
DnnTensor scaleTensor() { return {kScale, CUDNN_DATA_FLOAT, {1, 1, 1, 1}, {1, 1, 1, 1}, false, true}; }

// Descriptors of one operation, attribute by attribute.
void link(Descriptor& operation, int attribute, const Descriptor& tensor) { operation.set(cudnnBackendAttributeName_t(attribute), tensor); }

DnnGraph forwardGraph(const FusedAttention& s) {
  DnnGraph graph;
  Descriptor& operation = graph.operations.emplace_back(kForward);
  link(operation, kForwardQ, graph.tensor(tokens(kQ, s, s.tq)));
  link(operation, kForwardK, graph.tensor(tokens(kK, s, s.tk)));
  link(operation, kForwardV, graph.tensor(tokens(kV, s, s.tk)));
  link(operation, kForwardO, graph.tensor(tokens(kO, s, s.tq)));
  link(operation, kForwardStats, graph.tensor(statistics(s)));
  link(operation, kForwardScale, graph.tensor(scaleTensor()));
  operation.finalize("attention");
  return graph;
}

DnnGraph backwardGraph(const FusedAttention& s) {
  DnnGraph graph;
  Descriptor& operation = graph.operations.emplace_back(kBackward);
  link(operation, kBackwardQ, graph.tensor(tokens(kQ, s, s.tq)));
  link(operation, kBackwardK, graph.tensor(tokens(kK, s, s.tk)));
  link(operation, kBackwardV, graph.tensor(tokens(kV, s, s.tk)));
  link(operation, kBackwardO, graph.tensor(tokens(kO, s, s.tq)));
  link(operation, kBackwardStats, graph.tensor(statistics(s)));
  link(operation, kBackwardScale, graph.tensor(scaleTensor()));
  link(operation, kBackwardDQ, graph.tensor(tokens(kDQ, s, s.tq)));
  link(operation, kBackwardDK, graph.tensor(tokens(kDK, s, s.tk)));
  link(operation, kBackwardDV, graph.tensor(tokens(kDV, s, s.tk)));
  link(operation, kBackwardDO, graph.tensor(tokens(kDO, s, s.tq)));
  operation.finalize("attention gradient");
  return graph;
}

// Head widths and sizes that the operations take; anything else, and anything that has no engine, is left to our own kernels.
bool coverable(const Context& context, const FusedAttention& s, size_t since) {
  const bool known = cudnnGetVersion() >= since && context.capability >= 80;
  return known && (s.dtype == DType::bf16 || s.dtype == DType::f16) && !s.causal && s.d % 8 == 0;
}

template <class Build>
const DnnPlan* planOf(Context& context, const std::string& shape, Build build) {
  Libraries& libraries = *context.libraries;
  const auto known = libraries.dnnPlans.find(shape);
  if (known != libraries.dnnPlans.end()) return known->second.get();
  std::unique_ptr<DnnPlan>& plan = libraries.dnnPlans[shape];
  try {
    plan = makePlan(libraries.dnn, build(), {.workspaceBytes = int64_t(workspaceFor(context))}, shape, &libraries.choices);
  } catch (const DnnError&) {  // an operation that this version does not take: the shape stays uncovered
  }
  return plan.get();
}

void run(const Context& context, const DnnPlan& plan, const std::string& shape, std::initializer_list<DnnPointer> pointers) {
  try {
    runPlan(context, context.libraries->dnn, plan, pointers);
  } catch (const DnnError& error) {
    fail(kDevice, "%s (%s)", error.what(), shape.c_str());
  }
}

// Outputs that nobody wants, one behind the other in the op's workspace. false: there is no room.
bool placeUnwanted(const Context& context, const FusedAttention& s, FusedAttentionGradient& t) {
  size_t bytes = 0;
  const auto place = [&](void*& to, int64_t rows) {
    if (to) return true;
    const size_t at = bytes;
    bytes += (size_t(s.n * rows * s.heads * s.d) * dtypeBytes(s.dtype) + 255) / 256 * 256;
    char* memory = static_cast<char*>(opWorkspace(context, bytes));
    to = memory ? memory + at : nullptr;
    return to != nullptr;
  };
  return place(t.dq, s.tq) && place(t.dk, s.tk) && place(t.dv, s.tk);
}

}  // namespace

bool fusedAttention(Context& context, const FusedAttention& s, const void* q, const void* k, const void* v, void* o, float* lse) {
  if (!coverable(context, s, kForwardSince)) return false;
  const std::string shape = textOf(s, "forward");
  const DnnPlan* plan = planOf(context, shape, [&] { return forwardGraph(s); });
  if (!plan) return false;
  const float scale = 1 / std::sqrt(float(s.d));
  run(context, *plan, shape, {{kQ, q}, {kK, k}, {kV, v}, {kO, o}, {kStats, lse}, {kScale, &scale}});
  return true;
}

bool fusedAttentionVjp(Context& context, const FusedAttention& s, const FusedAttentionGradient& tensors) {
  FusedAttentionGradient t = tensors;
  if (!coverable(context, s, kBackwardSince) || !placeUnwanted(context, s, t)) return false;
  const std::string shape = textOf(s, "backward");
  const DnnPlan* plan = planOf(context, shape, [&] { return backwardGraph(s); });
  if (!plan) return false;
  const float scale = 1 / std::sqrt(float(s.d));
  run(context, *plan, shape,
      {{kQ, t.q}, {kK, t.k}, {kV, t.v}, {kO, t.o}, {kStats, t.lse}, {kScale, &scale}, {kDO, t.dO}, {kDQ, t.dq}, {kDK, t.dk}, {kDV, t.dv}});
  return true;
}

}  // namespace tlora::cuda
