// cuDNN's sizes are in the order n, c, h, w whatever the layout; channels last is said by the strides.
#include "convolution.h"

#include <algorithm>

#include "convert.h"
#include "libraryState.h"
#include "matmul.h"
#include "shapeText.h"

namespace tlora::cuda {
namespace {

enum Uid : int64_t { kX = 1, kWeight, kY, kBias, kSum };

DnnTensor channelsLast(int64_t uid, cudnnDataType_t type, int64_t n, int64_t c, int64_t h, int64_t w) {
  return {uid, type, {n, c, h, w}, {c * h * w, 1, c * w, c}};
}
DnnTensor pictureOf(const Convolution& s) { return channelsLast(kX, dnnType(s.dtype), s.n, s.c, s.h, s.w); }
DnnTensor weightOf(const Convolution& s, cudnnDataType_t type) { return channelsLast(kWeight, type, s.outs, s.c, s.kh, s.kw); }
DnnTensor outputOf(const Convolution& s) { return channelsLast(kY, dnnType(s.dtype), s.n, s.outs, s.oh, s.ow); }

Descriptor windowOf(const Convolution& s) {
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  Descriptor window(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  window.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  window.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  window.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2});
  window.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1});
  window.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {s.stride, s.stride});
  window.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {s.padTop, s.padLeft});
  window.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {s.padBottom, s.padRight});
  window.finalize("convolution window");
  return window;
}

void addBias(DnnGraph& graph, const Convolution& s, const Descriptor& sum, const Descriptor& y) {
  const Descriptor& bias = graph.tensor(channelsLast(kBias, dnnType(s.dtype), 1, s.outs, 1, 1));
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  Descriptor& add = graph.parts.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  add.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  add.finalize("addition of the bias");
  Descriptor& operation = graph.operations.emplace_back(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, add).set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sum);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, bias).set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation.finalize("addition of the bias");
}

DnnGraph forwardGraph(const Convolution& s, bool bias) {
  DnnGraph graph;
  const Descriptor &x = graph.tensor(pictureOf(s)), &weight = graph.tensor(weightOf(s, dnnType(s.dtype)));
  const Descriptor& y = graph.tensor(outputOf(s));
  DnnTensor inner = channelsLast(kSum, CUDNN_DATA_FLOAT, s.n, s.outs, s.oh, s.ow);
  inner.isVirtual = true;
  const Descriptor& sum = bias ? graph.tensor(inner) : y;
  const Descriptor& window = graph.parts.emplace_back(windowOf(s));
  Descriptor& operation = graph.operations.emplace_back(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x).set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, weight);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, sum).set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, window);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0f).set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0f);
  operation.finalize("convolution");
  if (bias) addBias(graph, s, sum, y);
  return graph;
}

DnnGraph dataGraph(const Convolution& s) {
  DnnGraph graph;
  const Descriptor &dx = graph.tensor(pictureOf(s)), &weight = graph.tensor(weightOf(s, dnnType(s.dtype)));
  const Descriptor &dy = graph.tensor(outputOf(s)), &window = graph.parts.emplace_back(windowOf(s));
  Descriptor& operation = graph.operations.emplace_back(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx).set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, weight);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy).set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, window);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1.0f).set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0.0f);
  operation.finalize("data gradient");
  return graph;
}

DnnGraph weightGraph(const Convolution& s, cudnnDataType_t type) {
  DnnGraph graph;
  const Descriptor &x = graph.tensor(pictureOf(s)), &dw = graph.tensor(weightOf(s, type));
  const Descriptor &dy = graph.tensor(outputOf(s)), &window = graph.parts.emplace_back(windowOf(s));
  Descriptor& operation = graph.operations.emplace_back(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x).set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy).set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, window);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, 1.0f).set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, 0.0f);
  operation.finalize("weight gradient");
  return graph;
}

// The plan of a shape, made at its first use; nullptr where no engine does it.
template <class Build>
const DnnPlan* planOf(Context& context, const Convolution& s, const std::string& shape, Build build, int64_t room = INT64_MAX) {
  Libraries& libraries = *context.libraries;
  const auto known = libraries.dnnPlans.find(shape);
  if (known != libraries.dnnPlans.end()) return known->second.get();
  const DnnRules rules{std::min(room, int64_t(workspaceFor(context))), s.dtype == DType::f32 && !context.tf32};
  try {
    return (libraries.dnnPlans[shape] = makePlan(libraries.dnn, build(), rules, shape, &libraries.choices)).get();
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

void run(const Context& context, const DnnPlan& plan, const std::string& shape, std::initializer_list<DnnPointer> pointers) {
  try {
    runPlan(context, context.libraries->dnn, plan, pointers);
  } catch (const DnnError& error) {
    fail(kDevice, "%s (%s)", error.what(), shape.c_str());
  }
}

}  // namespace

void convolutionForward(Context& context, const Convolution& s, const void* x, const void* weight, const void* bias, void* y) {
  if (isPointwise(s)) {
    Matmul p = product(s, x, weight, y);
    p.bias = bias;
    p.m = s.n * s.h * s.w, p.n = s.outs, p.k = s.c;
    p.lda = s.c, p.ldb = s.c, p.ldc = s.outs, p.transposeB = true;
    return matmul(context, p);
  }
  const std::string shape = textOf(context, s, bias ? "forward with bias" : "forward");
  if (const DnnPlan* plan = planOf(context, s, shape, [&] { return forwardGraph(s, bias != nullptr); })) {
    if (bias) return run(context, *plan, shape, {{kX, x}, {kWeight, weight}, {kY, y}, {kBias, bias}});
    return run(context, *plan, shape, {{kX, x}, {kWeight, weight}, {kY, y}});
  }
  if (!bias) refuse(shape);
  convolutionForward(context, s, x, weight, nullptr, y);
  addToRows(context, s.dtype, y, s.n * s.oh * s.ow, s.outs, bias);
}

void convolutionDataGradient(Context& context, const Convolution& s, const void* dy, const void* weight, void* dx) {
  if (isPointwise(s)) {
    Matmul p = product(s, dy, weight, dx);
    p.m = s.n * s.h * s.w, p.n = s.c, p.k = s.outs;
    p.lda = s.outs, p.ldb = s.c, p.ldc = s.c;
    return matmul(context, p);
  }
  const std::string shape = textOf(context, s, "data gradient");
  const DnnPlan* plan = planOf(context, s, shape, [&] { return dataGraph(s); });
  if (!plan) refuse(shape);
  run(context, *plan, shape, {{kX, dx}, {kWeight, weight}, {kY, dy}});
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
  if (const DnnPlan* plan = planOf(context, s, shape, [&] { return weightGraph(s, CUDNN_DATA_FLOAT); })) {
    return run(context, *plan, shape, {{kX, x}, {kWeight, dw}, {kY, dy}});
  }
  if (s.dtype == DType::f32) refuse(shape);
  // No engine widens its result: it is made in the operands' type behind the plan's own workspace, and widened from there.
  const std::string rounded = shape + " rounded";
  const int64_t count = s.outs * s.kh * s.kw * s.c;
  const int64_t narrowBytes = (count * int64_t(dtypeBytes(s.dtype)) + 255) / 256 * 256;
  const int64_t room = int64_t(context.workspaceBytes) - narrowBytes;
  const DnnPlan* plan = room < 0 ? nullptr : planOf(context, s, rounded, [&] { return weightGraph(s, dnnType(s.dtype)); }, room);
  if (!plan) refuse(rounded);
  char* narrow = static_cast<char*>(context.workspace) + room / 256 * 256;
  run(context, *plan, rounded, {{kX, x}, {kWeight, narrow}, {kY, dy}});
  convert(context, narrow, s.dtype, dw, DType::f32, count);
}

}  // namespace tlora::cuda
