#include "shapeText.h"

#include <cstdio>

namespace tlora::cuda {
namespace {

const char* nameOf(DType t) { return t == DType::bf16 ? "bf16" : t == DType::f16 ? "f16" : "f32"; }
const char* modeOf(const Context& context, DType t) { return t == DType::f32 && context.tf32 ? "(tf32)" : ""; }

// The alignment in bytes that all rows of all products of an operand have.
int alignmentOf(const void* data, DType type, int64_t row, int64_t stride) {
  const uint64_t bytes = dtypeBytes(type);
  const uint64_t all = reinterpret_cast<uintptr_t>(data) | uint64_t(row) * bytes | uint64_t(stride) * bytes | 64;
  return int(all & (~all + 1));
}

}  // namespace

MatmulAlignment::MatmulAlignment(const Matmul& p)
    : a(alignmentOf(p.a, p.aType, p.lda, p.strideA)),
      b(alignmentOf(p.b, p.bType, p.ldb, p.strideB)),
      c(alignmentOf(p.c, p.cType, p.ldc, p.strideC)),
      residual(p.residual ? alignmentOf(p.residual, p.cType, p.ldc, p.strideC) : c),
      bias(p.bias ? alignmentOf(p.bias, p.cType, 0, 0) : c) {}

std::string textOf(const Context& context, const Matmul& p) {
  const MatmulAlignment align(p);
  char text[400];
  snprintf(text, sizeof text, "matmul %s%s>%s %c%c %lldx%lldx%lld ld %lld,%lld,%lld batch %lld,%lld,%lld,%lld align %d,%d,%d,%d,%d%s%s%s",
           nameOf(p.aType), modeOf(context, p.aType), nameOf(p.cType), p.transposeA ? 't' : 'n', p.transposeB ? 't' : 'n', (long long)p.m,
           (long long)p.n, (long long)p.k, (long long)p.lda, (long long)p.ldb, (long long)p.ldc, (long long)p.batch, (long long)p.strideA,
           (long long)p.strideB, (long long)p.strideC, align.a, align.b, align.c, align.residual, align.bias, p.bias ? " +bias" : "",
           p.residual ? " +residual" : "", p.beta != 0 ? " +c" : "");
  return text;
}

std::string textOf(const Context& context, const Convolution& s, const char* work) {
  char text[300];
  snprintf(text, sizeof text, "conv2d %s %s%s x %lldx%lldx%lldx%lld w %lldx%lldx%lld y %lldx%lld stride %lld pad %lld,%lld,%lld,%lld", work,
           nameOf(s.dtype), modeOf(context, s.dtype), (long long)s.n, (long long)s.h, (long long)s.w, (long long)s.c, (long long)s.outs,
           (long long)s.kh, (long long)s.kw, (long long)s.oh, (long long)s.ow, (long long)s.stride, (long long)s.padTop,
           (long long)s.padLeft, (long long)s.padBottom, (long long)s.padRight);
  return text;
}

std::string textOf(const FusedAttention& s, const char* work) {
  char text[200];
  int end = snprintf(text, sizeof text, "attention %s %s n %lld heads %lld q %lld k %lld d %lld", work, nameOf(s.dtype), (long long)s.n,
                     (long long)s.heads, (long long)s.tq, (long long)s.tk, (long long)s.d);
  if (!s.dense()) snprintf(text + end, sizeof text - size_t(end), " rows %lld,%lld", (long long)s.queryRow, (long long)s.keyRow);
  return text;
}

bool isPointwise(const Convolution& s) {
  return s.kh == 1 && s.kw == 1 && s.stride == 1 && s.padTop == 0 && s.padLeft == 0 && s.padBottom == 0 && s.padRight == 0;
}

}  // namespace tlora::cuda
