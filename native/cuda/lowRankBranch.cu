// The low-rank branch on stacked factors (lowRankFactors.cu): y = base + scale H Bᵀ, H = x Aᵀ, and its gradients.
//   x [n, t, in], base, y, dy [n, t, layers out], H [n, t, layers s], A [copies, layers s, in], B [layers out, s], s = stack rp, all of
//   the compute type. Layers that read the same x lie side by side in H, base, y, dy and one below the other in A and B.
// H Bᵀ is (P - P0) M L Q x + P0 M (L Q - L0 Q0) x. The mask is in A, one copy a sample or one for all; so H is zero where it masks, and E
// need not be. Every product is cuBLASLt's, at full rank, and one launch: where x or dx is an operand the layers are rows of one
// matrix, else they are its batch.
//
// Forward, 2 launches: H; y.   Gradients, up to 4: E [n, t, layers s] = scale dy B;  dx = E A, and what came through the base;
//   dA [copies, layers s, in] = Eᵀ x, not masked;  dB [layers out, r] = scale dyᵀ H, that of P, of the first columns of a layer's H.
// dA and dB are float32. Traffic for T = n t tokens, e bytes an element, L layers: forward T e (in + 2 L out + 2 L s), gradients
// T e (3 in + 2 L out + 3 L s + L r), and the factors each time; FLOPs 2 T L s (in + out) and 2 T L (2 s in + (s + r) out).
#include <cuda_runtime.h>

#include "cuda/context.h"
#include "cuda/matmul.h"

namespace tlora::cuda {

namespace {

struct Branch {
  Context& context;
  DType dtype;
  int64_t n, t, in, layers, out, copies;  // out: of one layer
  int64_t columns, s;                     // of H and E, and of one layer's part of them

  Branch(const Call& call, Context& context, const Tensor& x, const Tensor& a, const Tensor& b)
      : context(context), dtype(x.dtype), n(x.dims[0]), t(x.dims[1]), in(x.dims[2]), layers(int64_t(call.attr[2])), out(b.dims[0] / layers),
        copies(a.dims[0]), columns(a.dims[1]), s(b.dims[1]) {}
  int64_t tokens() const { return n * t; }

  Matmul typed(const void* a, const void* b, void* c, DType cType) const {
    return {.a = a, .b = b, .c = c, .aType = dtype, .bType = dtype, .cType = cType};
  }

  // H = x Aᵀ.
  void project(const void* x, const void* a, void* h) const {
    Matmul p = typed(x, a, h, dtype);
    p.m = tokens() / copies, p.n = columns, p.k = in, p.lda = in, p.ldb = in, p.ldc = columns, p.transposeB = true;
    p.batch = copies, p.strideA = p.m * in, p.strideB = columns * in, p.strideC = p.m * columns;
    matmul(context, p);
  }
  // y = base + scale H Bᵀ, layer by layer.
  void expand(const void* h, const void* b, const void* base, void* y, float scale) const {
    Matmul p = typed(h, b, y, dtype);
    p.m = tokens(), p.n = out, p.k = s, p.lda = columns, p.ldb = s, p.ldc = layers * out, p.transposeB = true, p.alpha = scale;
    p.batch = layers, p.strideA = s, p.strideB = out * s, p.strideC = out;
    addTo(p, base);
  }
  // E = scale dy B, layer by layer.
  void contract(const void* dy, const void* b, void* e, float scale) const {
    Matmul p = typed(dy, b, e, dtype);
    p.m = tokens(), p.n = s, p.k = out, p.lda = layers * out, p.ldb = s, p.ldc = columns, p.alpha = scale;
    p.batch = layers, p.strideA = out, p.strideB = out * s, p.strideC = s;
    matmul(context, p);
  }
  // dx = through + E A.
  void backToInput(const void* e, const void* a, const void* through, void* dx) const {
    Matmul p = typed(e, a, dx, dtype);
    p.m = tokens() / copies, p.n = in, p.k = columns, p.lda = columns, p.ldb = in, p.ldc = in;
    p.batch = copies, p.strideA = p.m * columns, p.strideB = columns * in, p.strideC = p.m * in;
    addTo(p, through);
  }
  void gradientOfA(const void* e, const void* x, void* dA) const {
    Matmul p = typed(e, x, dA, DType::f32);
    p.m = columns, p.n = in, p.k = tokens() / copies, p.lda = columns, p.ldb = in, p.ldc = in, p.transposeA = true;
    p.batch = copies, p.strideA = p.k * columns, p.strideB = p.k * in, p.strideC = columns * in;
    matmul(context, p);
  }
  void gradientOfB(const void* dy, const void* h, int64_t r, void* dB, float scale) const {
    Matmul p = typed(dy, h, dB, DType::f32);
    p.m = out, p.n = r, p.k = tokens(), p.lda = layers * out, p.ldb = columns, p.ldc = r, p.transposeA = true, p.alpha = scale;
    p.batch = layers, p.strideA = out, p.strideB = s, p.strideC = out * r;
    matmul(context, p);
  }

 private:
  // The product, and what is added to it: null, where it is written, or elsewhere.
  void addTo(Matmul& p, const void* added) const {
    if (added == p.c) p.beta = 1;
    else p.residual = added;
    matmul(context, p);
  }
};

}  // namespace

// in: base, x, a, b; out: y, which may lie over base, and h.
void lowRankBranch(const Call& call, Context& context) {
  const Tensor &base = call.in[0], &x = call.in[1], &a = call.in[2], &b = call.in[3];
  const Branch branch(call, context, x, a, b);
  branch.project(x.data, a.data, call.out[1].data);
  branch.expand(call.out[1].data, b.data, base.data, call.out[0].data, float(call.attr[0]));
}

// in: x, a, b, h, dy, through; out: dx, which may lie over through, dA, dB.
void lowRankBranchVjp(const Call& call, Context& context) {
  const Tensor &x = call.in[0], &a = call.in[1], &b = call.in[2], &h = call.in[3], &dy = call.in[4];
  const Branch branch(call, context, x, a, b);
  void *dx = call.out[0].data, *dA = call.out[1].data, *dB = call.out[2].data;
  const float scale = float(call.attr[0]);
  if (dx || dA) branch.contract(dy.data, b.data, call.scratch, scale);
  if (dx) branch.backToInput(call.scratch, a.data, call.in[5].data, dx);
  if (dA) branch.gradientOfA(call.scratch, x.data, dA);
  if (dB) branch.gradientOfB(dy.data, h.data, call.out[2].dims[1], dB, scale);
}

}  // namespace tlora::cuda
