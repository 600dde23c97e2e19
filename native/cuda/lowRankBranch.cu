// The low-rank branch on stacked factors (lowRankFactors.cu): y = base + scale H Bᵀ, H = x Aᵀ, and its gradients.
//   x [n, t, in], base, y, dy [n, t, out], H [n, t, stack rp], A [copies, stack rp, in], B [out, blocks rp], all of the compute type.
// H Bᵀ reads B's first stack blocks: (P - P0) M L Q x + P0 M (L Q - L0 Q0) x. The mask is in A, one copy a sample or one for all; so H is
// zero where it masks, and E need not be. Every product is cuBLASLt's, at full rank, and one launch.
//
// Forward, 2 launches: H; y.   Gradients, up to 4: E [n, t, blocks rp] = scale dy B, of which F = scale dy P is the last block;
//   dx = E A;  dA [copies, r, in] = Fᵀ x, that of L Q, not masked;  dB [out, r] = scale dyᵀ H, that of P, of H's first columns.
// dA and dB are float32. Traffic for T = n t tokens, e bytes an element, with a start: forward T e (in + 2 out + 4 rp), gradients
// T e (2 in + 2 out + 7 rp), and the factors each time; FLOPs 4 T rp (in + out) and T rp (6 in + 8 out).
#include <cuda_runtime.h>

#include "cuda/context.h"
#include "cuda/matmul.h"

namespace tlora::cuda {

namespace {

struct Branch {
  Context& context;
  DType dtype;
  int64_t n, t, in, out, copies;
  int64_t stack, blocks, rp;  // rows of A, columns of B, and those of one block

  Branch(Context& context, const Tensor& x, const Tensor& a, const Tensor& b)
      : context(context), dtype(x.dtype), n(x.dims[0]), t(x.dims[1]), in(x.dims[2]), out(b.dims[0]), copies(a.dims[0]), stack(a.dims[1]),
        blocks(b.dims[1]), rp(blocks > stack ? blocks - stack : stack) {}
  int64_t tokens() const { return n * t; }

  // c = alpha a b of all tokens.
  Matmul whole(const void* a, const void* b, void* c, int64_t columns, int64_t k, float alpha) const {
    return {.a = a, .b = b, .c = c, .aType = dtype, .bType = dtype, .cType = dtype, .m = tokens(), .n = columns, .k = k, .lda = k, .ldc = columns,
            .alpha = alpha};
  }
  // The same with one b a copy, `strideB` apart.
  Matmul perCopy(Matmul p, int64_t strideB) const {
    p.m /= copies;
    p.batch = copies, p.strideA = p.m * p.lda, p.strideB = strideB, p.strideC = p.m * p.ldc;
    return p;
  }
};

const void* offset(const void* data, int64_t elements, DType dtype) {
  return static_cast<const char*>(data) + elements * int64_t(dtypeBytes(dtype));
}

}  // namespace

// in: base, x, a, b; out: y, which may lie over base, and h.
void lowRankBranch(const Call& call, Context& context) {
  const Tensor &base = call.in[0], &x = call.in[1], &a = call.in[2], &b = call.in[3];
  const Branch branch(context, x, a, b);
  Matmul h = branch.whole(x.data, a.data, call.out[1].data, branch.stack, branch.in, 1);
  h.ldb = branch.in, h.transposeB = true;
  matmul(context, branch.perCopy(h, branch.stack * branch.in));
  Matmul y = branch.whole(h.c, b.data, call.out[0].data, branch.out, branch.stack, float(call.attr[0]));
  y.ldb = branch.blocks, y.transposeB = true;
  if (base.data == y.c) y.beta = 1;
  else y.residual = base.data;
  matmul(context, y);
}

// in: x, a, b, h, dy; out: dx, dA, dB.
void lowRankBranchVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &a = call.in[1], &b = call.in[2], &dy = call.in[4];
  const Branch branch(context, x, a, b);
  const DType dtype = branch.dtype;
  void *e = call.scratch, *dx = call.out[0].data, *dA = call.out[1].data, *dB = call.out[2].data;
  const float scale = float(call.attr[0]);

  const int64_t first = dx ? 0 : branch.blocks - branch.rp, columns = (dA ? branch.blocks : branch.stack) - first;
  if (dx || dA) {
    Matmul p = branch.whole(dy.data, offset(b.data, first, dtype), e, columns, branch.out, scale);
    p.ldb = branch.blocks;
    matmul(context, p);
  }
  if (dx) {
    Matmul p = branch.whole(e, a.data, dx, branch.in, branch.stack, 1);
    p.lda = columns, p.ldb = branch.in;
    matmul(context, branch.perCopy(p, branch.stack * branch.in));
  }
  if (dA) {
    const int64_t r = call.out[1].dims[1], k = branch.tokens() / branch.copies;
    matmul(context, {.a = offset(e, columns - branch.rp, dtype), .b = x.data, .c = dA, .aType = dtype, .bType = dtype, .cType = DType::f32,
                     .m = r, .n = branch.in, .k = k, .lda = columns, .ldb = branch.in, .ldc = branch.in, .transposeA = true,
                     .batch = branch.copies, .strideA = k * columns, .strideB = k * branch.in, .strideC = r * branch.in});
  }
  if (dB) {
    const int64_t r = call.out[2].dims[1];
    matmul(context, {.a = dy.data, .b = call.in[3].data, .c = dB, .aType = dtype, .bType = dtype, .cType = DType::f32, .m = branch.out, .n = r,
                     .k = branch.tokens(), .lda = branch.out, .ldb = branch.stack, .ldc = r, .transposeA = true, .alpha = scale});
  }
}

}  // namespace tlora::cuda
