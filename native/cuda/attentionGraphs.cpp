#include "attentionGraphs.h"

#include <utility>

namespace tlora::cuda {
namespace {

// These enumerators are newer than the oldest headers that this compiles with: CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR and its
// attributes CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC to _SCALEDESC.
constexpr auto kForward = cudnnBackendDescriptorType_t(41);
enum ForwardAttribute { kForwardQ = 2800, kForwardK, kForwardV, kForwardO, kForwardStats, kForwardScale };

DnnTensor tokens(int64_t uid, const FusedAttention& s, int64_t heads, int64_t count, int64_t row) {
  return {uid, dnnType(s.dtype), {s.n, heads, count, s.d}, {count * row, s.d, row, 1}};
}
// q or dq; k, v, dk or dv; o or dO.
DnnTensor queries(int64_t uid, const FusedAttention& s, int64_t heads) { return tokens(uid, s, heads, s.tq, s.queryRow); }
DnnTensor keys(int64_t uid, const FusedAttention& s, int64_t heads) { return tokens(uid, s, heads, s.tk, s.keyRow); }
DnnTensor outputs(int64_t uid, const FusedAttention& s, int64_t heads) { return tokens(uid, s, heads, s.tq, s.outRow()); }
DnnTensor statistics(int64_t uid, const FusedAttention& s, int64_t heads, int64_t stride) {
  return {uid, CUDNN_DATA_FLOAT, {s.n, heads, s.tq, 1}, {stride * s.tq, s.tq, 1, 1}};
}
DnnTensor number(int64_t uid) { return {uid, CUDNN_DATA_FLOAT, {1, 1, 1, 1}, {1, 1, 1, 1}, false, true}; }
DnnTensor transposed(DnnTensor t) {
  std::swap(t.sizes[2], t.sizes[3]);
  std::swap(t.strides[2], t.strides[3]);
  return t;
}

void link(Descriptor& operation, ForwardAttribute attribute, const Descriptor& tensor) {
  operation.set(cudnnBackendAttributeName_t(attribute), tensor);
}

// Builds the gradient's pattern operation by operation; each gives its result.
class Gradient {
 public:
  Gradient(const FusedAttention& shape, int64_t heads) : s_(shape), heads_(heads) {}

  DnnGraph build() {
    const Descriptor &q = graph_.tensor(queries(kQ, s_, heads_)), &scale = graph_.tensor(number(kScale));
    const Descriptor &dO = graph_.tensor(outputs(kDO, s_, heads_)), &o = graph_.tensor(outputs(kO, s_, heads_));
    const Descriptor &kT = graph_.tensor(transposed(keys(kK, s_, heads_))), &vT = graph_.tensor(transposed(keys(kV, s_, heads_)));
    const Descriptor& delta = rowSums(pointwise(CUDNN_POINTWISE_MUL, dO, &o, inner(s_.tq, s_.d)));
    const Descriptor& scores = pointwise(CUDNN_POINTWISE_MUL, product(q, kT, inner(s_.tq, s_.tk)), &scale, inner(s_.tq, s_.tk));
    const Descriptor& stats = graph_.tensor(statistics(kStats, s_, heads_, s_.heads));
    const Descriptor& shifted = pointwise(CUDNN_POINTWISE_SUB, scores, &stats, inner(s_.tq, s_.tk));
    const Descriptor& p = pointwise(CUDNN_POINTWISE_EXP, shifted, nullptr, inner(s_.tq, s_.tk));
    product(turned(p), dO, keys(kDV, s_, heads_));
    const Descriptor& dP = pointwise(CUDNN_POINTWISE_SUB, product(dO, vT, inner(s_.tq, s_.tk)), &delta, inner(s_.tq, s_.tk));
    const Descriptor& unscaled = pointwise(CUDNN_POINTWISE_MUL, dP, &p, inner(s_.tq, s_.tk));
    const Descriptor& dS = pointwise(CUDNN_POINTWISE_MUL, unscaled, &scale, inner(s_.tq, s_.tk));
    product(turned(dS), q, keys(kDK, s_, heads_));
    DnnTensor plainK = keys(next_++, s_, heads_);
    plainK.isVirtual = true;
    product(dS, reshape(kT, plainK), queries(kDQ, s_, heads_));
    return std::move(graph_);
  }

 private:
  // A result that is never in memory.
  DnnTensor inner(int64_t rows, int64_t columns) {
    return {next_++, CUDNN_DATA_FLOAT, {s_.n, heads_, rows, columns}, {heads_ * rows * columns, rows * columns, columns, 1}, true};
  }

  const Descriptor& pointwise(cudnnPointwiseMode_t mode, const Descriptor& x, const Descriptor* b, const DnnTensor& to) {
    Descriptor& what = graph_.parts.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    what.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    what.finalize("elementwise operation");
    const Descriptor& y = graph_.tensor(to);
    Descriptor& operation = graph_.operations.emplace_back(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what).set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
    operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y).finalize("elementwise operation");
    return y;
  }

  const Descriptor& product(const Descriptor& a, const Descriptor& b, const DnnTensor& to) {
    Descriptor& what = graph_.parts.emplace_back(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    what.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT).finalize("product");
    const Descriptor& c = graph_.tensor(to);
    Descriptor& operation = graph_.operations.emplace_back(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    operation.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, a).set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    operation.set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, c).set(CUDNN_ATTR_OPERATION_MATMUL_DESC, what).finalize("product");
    return c;
  }

  // The pattern's engines want the sums in memory, behind a factor that is 1 without dropout.
  const Descriptor& rowSums(const Descriptor& x) {
    const cudnnReduceTensorOp_t add = CUDNN_REDUCE_TENSOR_ADD;
    Descriptor& what = graph_.parts.emplace_back(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    what.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &add);
    what.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT).finalize("row sums");
    const Descriptor& sums = graph_.tensor(inner(s_.tq, 1));
    Descriptor& operation = graph_.operations.emplace_back(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    operation.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x).set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, sums);
    operation.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, what).finalize("row sums");
    const Descriptor& one = graph_.tensor(number(kOne));
    return pointwise(CUDNN_POINTWISE_MUL, sums, &one, statistics(kDelta, s_, heads_, heads_));
  }

  const Descriptor& reshape(const Descriptor& x, const DnnTensor& to) {
    const Descriptor& y = graph_.tensor(to);
    Descriptor& operation = graph_.operations.emplace_back(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    operation.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x).set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y).finalize("transposition");
    return y;
  }
  // The transpose of a matrix of scores, in the operands' type.
  const Descriptor& turned(const Descriptor& scores) {
    const int64_t area = s_.tq * s_.tk;
    return reshape(scores, {next_++, dnnType(s_.dtype), {s_.n, heads_, s_.tk, s_.tq}, {heads_ * area, area, 1, s_.tk}, true});
  }

  const FusedAttention& s_;
  const int64_t heads_;
  int64_t next_ = 100;  // uids of inner tensors
  DnnGraph graph_;
};

}  // namespace

DnnGraph attentionForwardGraph(const FusedAttention& s) {
  DnnGraph graph;
  Descriptor& operation = graph.operations.emplace_back(kForward);
  link(operation, kForwardQ, graph.tensor(queries(kQ, s, s.heads)));
  link(operation, kForwardK, graph.tensor(keys(kK, s, s.heads)));
  link(operation, kForwardV, graph.tensor(keys(kV, s, s.heads)));
  link(operation, kForwardO, graph.tensor(outputs(kO, s, s.heads)));
  link(operation, kForwardStats, graph.tensor(statistics(kStats, s, s.heads, s.heads)));
  link(operation, kForwardScale, graph.tensor(number(kScale)));
  operation.finalize("attention");
  return graph;
}

DnnGraph attentionGradientGraph(const FusedAttention& s, int64_t heads) { return Gradient(s, heads).build(); }

bool attentionGradientWorks(const FusedAttention& s, size_t version) {
  const bool whole = s.tq % 128 == 0 && s.tk % 128 == 0;
  return version >= kForwardSince && s.tq > 1 && s.tk % 128 != 64 && (whole || version >= 91800);
}

int64_t attentionGradientBytes(const FusedAttention& s, int64_t heads) {
  constexpr int64_t kTile = 128, kRest = 4096;
  const auto rounded = [](int64_t t) { return (t + kTile - 1) / kTile * kTile; };
  return s.n * heads * rounded(s.tq) * rounded(s.tk) * 2 + kRest;
}

}  // namespace tlora::cuda
