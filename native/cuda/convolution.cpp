#include "convolution.h"

#include <algorithm>

#include "convert.h"
#include "convolutionGraphs.h"
#include "libraryState.h"
#include "matmul.h"
#include "shapeText.h"

namespace tlora::cuda {
namespace {

enum class Need { only, dispensable };  // whether there is another way than this graph

// Plans that are tried for a shape.
constexpr size_t kCandidates = 6;

void run(const Context& context, const DnnPlan& plan, const std::string& shape, std::initializer_list<DnnPointer> pointers) {
  try {
    runPlan(context, context.libraries->dnn, plan, pointers);
  } catch (const DnnError& error) {
    fail(kDevice, "%s (%s)", error.what(), shape.c_str());
  }
}

// The plan of a shape, made at its first use; nullptr where no engine does it.
template <class Build>
const DnnPlan* planOf(Context& context, const Convolution& s, const std::string& shape, Need need, Build build,
                      std::initializer_list<DnnPointer> pointers, int64_t room = INT64_MAX) {
  Libraries& libraries = *context.libraries;
  const auto known = libraries.dnnPlans.find(shape);
  if (known != libraries.dnnPlans.end()) return known->second.get();
  const DnnRules rules{std::min(room, int64_t(workspaceFor(context))), s.dtype == DType::f32 && !context.tf32, need == Need::dispensable};
  const Trying trying(context);
  const auto queue = [&](const DnnPlan& plan) { run(context, plan, shape, pointers); };
  const DnnTrials trials{kCandidates, queue, {}, [&](const auto& ways) { return tryAll(*context.stopwatch, ways); }};
  try {
    return (libraries.dnnPlans[shape] = makePlan(libraries.dnn, build(), rules, shape, &libraries.choices, trying ? &trials : nullptr)).get();
  } catch (const DnnError& error) {
    fail(kDevice, "%s (%s)", error.what(), shape.c_str());
  }
}

[[noreturn]] void refuse(const std::string& shape) {
  fail(kDevice, "cuDNN %zu has no deterministic engine for this convolution within %zu MiB of workspace: %s", cudnnGetVersion(),
       kLibraryWorkspaceBytes >> 20, shape.c_str());
}

// Pixels as rows: y [p, outs] = x [p, c] weightᵀ.
Matmul product(const Convolution& s, const void* a, const void* b, void* c) {
  return {.a = a, .b = b, .c = c, .aType = s.dtype, .bType = s.dtype, .cType = s.dtype};
}

}  // namespace

void convolutionForward(Context& context, const Convolution& s, const void* x, const void* weight, const Added& added, void* y) {
  const auto [bias, residual] = added;
  if (isPointwise(s)) {
    Matmul p = product(s, x, weight, y);
    p.bias = bias, p.residual = residual;
    p.m = s.n * s.h * s.w, p.n = s.outs, p.k = s.c;
    p.lda = s.c, p.ldb = s.c, p.ldc = s.outs, p.transposeB = true;
    return matmul(context, p);
  }
  const auto with = [&](const std::string& shape, Addends addends, std::initializer_list<DnnPointer> pointers) {
    const auto build = [&] { return convolutionForwardGraph(s, addends); };
    const DnnPlan* plan = planOf(context, s, shape, addends == Addends::none ? Need::only : Need::dispensable, build, pointers);
    if (plan) run(context, *plan, shape, pointers);
    return plan != nullptr;
  };
  const int64_t rows = s.n * s.oh * s.ow;
  if (residual) {
    const std::initializer_list<DnnPointer> pointers{{kPicture, x}, {kWeight, weight}, {kOutput, y}, {kBias, bias}, {kResidual, residual}};
    if (bias && with(textOf(context, s, "forward with residual and bias"), Addends::residualAndBias, pointers)) return;
    convolutionForward(context, s, x, weight, {bias}, y);
    return addToRows(context, s.dtype, y, 1, rows * s.outs, residual);
  }
  if (bias) {
    if (with(textOf(context, s, "forward with bias"), Addends::bias, {{kPicture, x}, {kWeight, weight}, {kOutput, y}, {kBias, bias}})) return;
    convolutionForward(context, s, x, weight, {}, y);
    return addToRows(context, s.dtype, y, rows, s.outs, bias);
  }
  const std::string shape = textOf(context, s, "forward");
  if (!with(shape, Addends::none, {{kPicture, x}, {kWeight, weight}, {kOutput, y}})) refuse(shape);
}

void convolutionDataGradient(Context& context, const Convolution& s, const void* dy, const void* weight, void* dx) {
  if (isPointwise(s)) {
    Matmul p = product(s, dy, weight, dx);
    p.m = s.n * s.h * s.w, p.n = s.c, p.k = s.outs;
    p.lda = s.outs, p.ldb = s.c, p.ldc = s.c;
    return matmul(context, p);
  }
  const std::string shape = textOf(context, s, "data gradient");
  const std::initializer_list<DnnPointer> pointers{{kPicture, dx}, {kWeight, weight}, {kOutput, dy}};
  const DnnPlan* plan = planOf(context, s, shape, Need::only, [&] { return convolutionDataGraph(s); }, pointers);
  if (!plan) refuse(shape);
  run(context, *plan, shape, pointers);
}

void convolutionWeightGradient(Context& context, const Convolution& s, const void* x, const void* dy, float* dw) {
  if (isPointwise(s)) {
    Matmul p = product(s, dy, x, dw);
    p.cType = DType::f32;
    p.m = s.outs, p.n = s.c, p.k = s.n * s.h * s.w;
    p.lda = s.outs, p.ldb = s.c, p.ldc = s.c, p.transposeA = true;
    return matmul(context, p);
  }
  const std::string shape = textOf(context, s, "weight gradient");
  const Need need = s.dtype == DType::f32 ? Need::only : Need::dispensable;
  const std::initializer_list<DnnPointer> wide{{kPicture, x}, {kWeight, dw}, {kOutput, dy}};
  if (const DnnPlan* plan = planOf(context, s, shape, need, [&] { return convolutionWeightGraph(s, CUDNN_DATA_FLOAT); }, wide)) {
    return run(context, *plan, shape, wide);
  }
  if (s.dtype == DType::f32) refuse(shape);
  // No engine widens its result: it is made in the operands' type behind the plan's own workspace, and widened from there.
  const std::string rounded = shape + " rounded";
  const int64_t count = s.outs * s.kh * s.kw * s.c;
  const int64_t narrowBytes = (count * int64_t(dtypeBytes(s.dtype)) + 255) / 256 * 256;
  const int64_t room = int64_t(context.workspaceBytes) - narrowBytes;
  if (room < 0) refuse(rounded);
  char* narrow = static_cast<char*>(context.workspace) + room / 256 * 256;
  const auto build = [&] { return convolutionWeightGraph(s, dnnType(s.dtype)); };
  const std::initializer_list<DnnPointer> pointers{{kPicture, x}, {kWeight, narrow}, {kOutput, dy}};
  const DnnPlan* plan = planOf(context, s, rounded, Need::only, build, pointers, room);
  if (!plan) refuse(rounded);
  run(context, *plan, rounded, pointers);
  convert(context, narrow, s.dtype, dw, DType::f32, count);
}

}  // namespace tlora::cuda
