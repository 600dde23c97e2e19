#include "convolutionGraphs.h"

namespace tlora::cuda {
namespace {

DnnTensor channelsLast(int64_t uid, cudnnDataType_t type, int64_t n, int64_t c, int64_t h, int64_t w) {
  return {uid, type, {n, c, h, w}, {c * h * w, 1, c * w, c}};
}
DnnTensor pictureOf(const Convolution& s) { return channelsLast(kPicture, dnnType(s.dtype), s.n, s.c, s.h, s.w); }
DnnTensor weightOf(const Convolution& s, cudnnDataType_t type) { return channelsLast(kWeight, type, s.outs, s.c, s.kh, s.kw); }
DnnTensor outputOf(const Convolution& s) { return channelsLast(kOutput, dnnType(s.dtype), s.n, s.outs, s.oh, s.ow); }

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

// y = sum + addend, which may be one row of channels.
void addTo(DnnGraph& graph, const Descriptor& sum, const Descriptor& addend, const Descriptor& y) {
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  Descriptor& add = graph.parts.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  add.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  add.finalize("addition");
  Descriptor& operation = graph.operations.emplace_back(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, add).set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sum);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, addend).set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation.finalize("addition");
}

}  // namespace

DnnGraph convolutionForwardGraph(const Convolution& s, Addends addends) {
  DnnGraph graph;
  const Descriptor &x = graph.tensor(pictureOf(s)), &weight = graph.tensor(weightOf(s, dnnType(s.dtype)));
  const Descriptor& y = graph.tensor(outputOf(s));
  const auto inner = [&](int64_t uid) -> const Descriptor& {
    DnnTensor sums = channelsLast(uid, CUDNN_DATA_FLOAT, s.n, s.outs, s.oh, s.ow);
    sums.isVirtual = true;
    return graph.tensor(sums);
  };
  const Descriptor& sum = addends == Addends::none ? y : inner(kSum);
  const Descriptor& window = graph.parts.emplace_back(windowOf(s));
  Descriptor& operation = graph.operations.emplace_back(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x).set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, weight);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, sum).set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, window);
  operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0f).set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0f);
  operation.finalize("convolution");
  if (addends == Addends::none) return graph;
  const Descriptor* before = &sum;
  if (addends == Addends::residualAndBias) {
    DnnTensor residual = outputOf(s);
    residual.uid = kResidual;
    before = &inner(kSumWithResidual);
    addTo(graph, sum, graph.tensor(residual), *before);
  }
  addTo(graph, *before, graph.tensor(channelsLast(kBias, dnnType(s.dtype), 1, s.outs, 1, 1)), y);
  return graph;
}

DnnGraph convolutionDataGraph(const Convolution& s) {
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

DnnGraph convolutionWeightGraph(const Convolution& s, cudnnDataType_t type) {
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

}  // namespace tlora::cuda
