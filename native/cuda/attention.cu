// o = softmax(q k^T / sqrt(d)) v for each head, and lse = log(sum(exp(scores))). q, o [n, tq, c], k, v [n, tk, c], float32, bf16 or
// f16; lse [n, heads, tq] float32; head h has channels h * d .. (h + 1) * d. Causal: query i sees keys 0 to i.
// Tokens of q, and those of k and v, may lie further apart than c, and so may those of their gradients (selfAttention.cu).
// cuDNN's fused attention is asked first; what it does not cover, or does more slowly where both were tried, runs here.
//
// Forward: a block has 64 queries and walks over tiles of keys with a running maximum, sum and unscaled output (online softmax:
// Milakov and Gimelshein 2018; Dao et al. 2022), so no tq x tk matrix is stored. Gradients, from q, k, v, o, lse and dO alone:
//   P = exp(S - lse);  delta = rowdot(dO, o) / sqrt(d);  dS = P o (dO v^T / sqrt(d) - delta);
//   dq = dS k;  dk = dS^T q;  dv = P^T dO.
// An o of 16 bits would lose dS where one probability is nearly 1, because dO v^T and delta are nearly equal there: delta is
// rowdot(P, dO v^T) / sqrt(d) then, in a pass of its own.
// Two passes without atomics, both the same kernel: for dq blocks have queries and walk over keys, for dk and dv they have keys and
// walk over queries, with S^T = k q^T. Seven products in place of five, but every sum has one order.
// Tiles multiply on tensor cores (attentionTensorTiles.h) or, in float32 and for what those do not cover, without
// (attentionTiles.h). Sums, softmax and statistics float32; P and dS are rounded to the tensors' type for tensor cores.
// FLOPs: 4 n heads tq tk d forward, 14 backward, 18 in 16 bits. Traffic: q, o once; k and v once per 64 queries, from L2.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "cuda/attention.h"
#include "cuda/attentionTensorTiles.h"
#include "cuda/attentionTiles.h"
#include "cuda/context.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/types.h"

namespace tlora::cuda {

namespace {

constexpr float kLog2E = 1.4426950408889634f, kLog2 = 0.6931471805599453f;

// Sum or maximum over the threads that share a row: neighbours, a power of two of them.
template <class Op, int lanes>
__device__ inline float rowReduce(float value) {
  for (int step = lanes / 2; step > 0; step /= 2) value = Op::of(value, __shfl_xor_sync(kFullMask, value, step));
  return value;
}

// The block's place: rows of one head of one sample, and which part of a wide head's outputs.
template <class Tiles>
struct Place {
  int64_t sample, head, first;
  int firstOut;
  __device__ explicit Place(int splits)
      : sample(blockIdx.z), head(blockIdx.y), first(int64_t(blockIdx.x) / splits * Tiles::kRows),
        firstOut(int(blockIdx.x) % splits * Tiles::kOut) {}
  // This head's part of the sample's tokens, from token `from` on, in a tensor that has t a sample.
  template <class T>
  __device__ HeadRows<T> rows(const Heads& h, T* tensor, int64_t t, int64_t stride, int64_t from = 0) const {
    return {tensor + (sample * t + from) * stride + head * h.d, stride};
  }
  __device__ int64_t query(const Heads& h) const { return (sample * h.heads + head) * h.tq; }
};

// Columns of the present tile, where `left` are left.
template <class Tiles>
__device__ inline int tileCount(int64_t left) {
  return left < Tiles::kColumns ? int(left) : Tiles::kColumns;
}

template <class Tiles>
__global__ void __launch_bounds__(Tiles::kThreads, Tiles::kBlocks)
attend(Heads h, int splits, const typename Tiles::Value* q, const typename Tiles::Value* k, const typename Tiles::Value* v,
       typename Tiles::Value* o, float* lse) {
  waitForPrevious();
  constexpr int kR = Tiles::kR, kC = Tiles::kC, kA = Tiles::kA;
  TLORA_SHARED_DYNAMIC(typename Tiles::Element, room);
  const Place<Tiles> place(splits);
  Tiles tiles(room,
              {{place.rows(h, q, h.tq, h.queryRow, place.first), {}},
               {place.rows(h, k, h.tk, h.keyRow), place.rows(h, v, h.tk, h.keyRow)},
               h.tq - place.first, h.tk, int(h.d), place.firstOut},
              1);
  float most[kR], sum[kR] = {}, acc[kR][kA] = {};
  for (int i = 0; i < kR; i++) most[i] = -INFINITY;
  const int64_t end = h.causal && place.first + Tiles::kRows < h.tk ? place.first + Tiles::kRows : h.tk;
  const float scale = h.scale * kLog2E;  // scores in powers of two
  tiles.begin(0);
  for (int64_t first = 0; first < end; first += Tiles::kColumns) {
    tiles.arrive(first, first + Tiles::kColumns < end ? first + Tiles::kColumns : h.tk);
    float s[kR][kC];
    tiles.template scores<0>(s);
    const int left = tileCount<Tiles>(h.tk - first), ahead = h.causal ? int(place.first - first) : Tiles::kColumns;
#pragma unroll
    for (int i = 0; i < kR; i++) {
      // The tile's keys that this query sees: none at all only after the first tile, so that `most` is finite from then on.
      const int seen = min(left, ahead + tiles.row(i) + 1);
      float top = most[i];
#pragma unroll
      for (int j = 0; j < kC; j++) {
        s[i][j] = tiles.column(j) < seen ? s[i][j] * scale : -INFINITY;
        top = fmaxf(top, s[i][j]);
      }
      top = rowReduce<Max, Tiles::kRowLanes>(top);
      const float change = exp2f(most[i] - top);
      most[i] = top;
      sum[i] *= change;
#pragma unroll
      for (int j = 0; j < kC; j++) {
        s[i][j] = exp2f(s[i][j] - top);
        sum[i] += s[i][j];
      }
#pragma unroll
      for (int a = 0; a < kA; a++) acc[i][a] *= change;
    }
    tiles.template accumulate<1>(acc, s);
    tiles.leave();
  }
  const HeadRows<typename Tiles::Value> out = place.rows(h, o, h.tq, h.outRow);
#pragma unroll
  for (int i = 0; i < kR; i++) {
    const float total = rowReduce<Sum, Tiles::kRowLanes>(sum[i]);
    const int64_t query = place.first + tiles.row(i);
    if (query >= h.tq) continue;
    tiles.store(out.at(query), acc[i], 1 / total);
    if (lse && place.firstOut == 0 && tiles.column(0) == 0) lse[place.query(h) + query] = (most[i] + log2f(total)) * kLog2;
  }
}

template <class T>
struct GradientTensors {
  const T *q, *k, *v, *dO;
  const float *lse, *delta;
};

// First [rows] = dS columns_0 and, or, second [rows] = P columns_1. Queries: rows are queries and columns keys, first = dq.
// Otherwise rows are keys and columns queries, first = dk and second = dv.
template <class Tiles, bool queries, bool wantFirst, bool wantSecond>
__global__ void __launch_bounds__(Tiles::kThreads, Tiles::kBlocks)
attendBack(Heads h, int splits, GradientTensors<typename Tiles::Value> in, typename Tiles::Value* toFirst, typename Tiles::Value* toSecond) {
  waitForPrevious();
  constexpr int kR = Tiles::kR, kC = Tiles::kC, kA = Tiles::kA;
  TLORA_SHARED_DYNAMIC(typename Tiles::Element, room);
  const Place<Tiles> place(splits);
  const int64_t rowCount = queries ? h.tq : h.tk, columnCount = queries ? h.tk : h.tq;
  const int64_t rowStride = queries ? h.queryRow : h.keyRow, columnStride = queries ? h.keyRow : h.queryRow;
  Tiles tiles(room,
              {{place.rows(h, queries ? in.q : in.k, rowCount, rowStride, place.first),
                place.rows(h, queries ? in.dO : in.v, rowCount, queries ? h.outRow : rowStride, place.first)},
               {place.rows(h, queries ? in.k : in.q, columnCount, columnStride),
                place.rows(h, queries ? in.v : in.dO, columnCount, queries ? columnStride : h.outRow)},
               rowCount - place.first, columnCount, int(h.d), place.firstOut},
              wantFirst ? 2 : 1);
  const float *lse = in.lse + place.query(h), *delta = in.delta + place.query(h);
  float first[kR][kA] = {}, second[kR][kA] = {};
  float rowLse[kR], rowDelta[kR];  // of the queries in rows, or of one column's query
  for (int i = 0; i < kR; i++) {
    const int64_t query = place.first + tiles.row(i);
    rowLse[i] = queries && query < h.tq ? lse[query] * kLog2E : 0.0f;
    rowDelta[i] = queries && query < h.tq ? delta[query] : 0.0f;
  }
  // Keys are seen by no earlier queries.
  const int64_t begin = h.causal && !queries ? place.first / Tiles::kColumns * Tiles::kColumns : 0;
  const int64_t end = h.causal && queries && place.first + Tiles::kRows < columnCount ? place.first + Tiles::kRows : columnCount;
  tiles.begin(begin);
  for (int64_t at = begin; at < end; at += Tiles::kColumns) {
    tiles.arrive(at, at + Tiles::kColumns < end ? at + Tiles::kColumns : columnCount);
    float p[kR][kC], ds[kR][kC];
    tiles.template scores<0>(p);
    if constexpr (wantFirst) tiles.template scores<1>(ds);
    const int left = tileCount<Tiles>(columnCount - at), ahead = int(at - place.first);
#pragma unroll
    for (int j = 0; j < kC; j++) {
      const int column = tiles.column(j);
      if (!queries) {
        rowLse[0] = column < left ? lse[at + column] * kLog2E : 0.0f;
        rowDelta[0] = column < left ? delta[at + column] : 0.0f;
      }
#pragma unroll
      for (int i = 0; i < kR; i++) {
        // Under a causal mask (tq = tk) queries see no later keys.
        const int later = queries ? ahead + column - tiles.row(i) : tiles.row(i) - ahead - column;
        const bool seen = column < left && (!h.causal || later <= 0);
        const int of = queries ? i : 0;
        p[i][j] = seen ? exp2f(p[i][j] * (h.scale * kLog2E) - rowLse[of]) : 0.0f;
        if constexpr (wantFirst) ds[i][j] = seen ? p[i][j] * (ds[i][j] * h.slope - rowDelta[of]) : 0.0f;
      }
    }
    if constexpr (wantFirst) tiles.template accumulate<0>(first, ds);
    if constexpr (wantSecond) tiles.template accumulate<1>(second, p);
    tiles.leave();
  }
#pragma unroll
  for (int i = 0; i < kR; i++) {
    const int64_t r = place.first + tiles.row(i);
    if (r >= rowCount) continue;
    if (wantFirst && toFirst) tiles.store(place.rows(h, toFirst, rowCount, rowStride).at(r), first[i], 1);
    if (wantSecond && toSecond) tiles.store(place.rows(h, toSecond, rowCount, rowStride).at(r), second[i], 1);
  }
}

// delta [n, heads, tq] = scale * rowdot(P, dO v^T); blocks have queries and walk over keys.
template <class Tiles>
__global__ void __launch_bounds__(Tiles::kThreads, Tiles::kBlocks) rowDeltas(Heads h, GradientTensors<typename Tiles::Value> in, float* delta) {
  waitForPrevious();
  constexpr int kR = Tiles::kR, kC = Tiles::kC;
  TLORA_SHARED_DYNAMIC(typename Tiles::Element, room);
  const Place<Tiles> place(1);
  Tiles tiles(room,
              {{place.rows(h, in.q, h.tq, h.queryRow, place.first), place.rows(h, in.dO, h.tq, h.outRow, place.first)},
               {place.rows(h, in.k, h.tk, h.keyRow), place.rows(h, in.v, h.tk, h.keyRow)},
               h.tq - place.first, h.tk, int(h.d), 0},
              2);
  float sum[kR] = {}, rowLse[kR];
  for (int i = 0; i < kR; i++) {
    const int64_t query = place.first + tiles.row(i);
    rowLse[i] = query < h.tq ? in.lse[place.query(h) + query] * kLog2E : 0.0f;
  }
  const int64_t end = h.causal && place.first + Tiles::kRows < h.tk ? place.first + Tiles::kRows : h.tk;
  tiles.begin(0);
  for (int64_t at = 0; at < end; at += Tiles::kColumns) {
    tiles.arrive(at, at + Tiles::kColumns < end ? at + Tiles::kColumns : h.tk);
    float p[kR][kC], dP[kR][kC];
    tiles.template scores<0>(p);
    tiles.template scores<1>(dP);
    const int left = tileCount<Tiles>(h.tk - at), ahead = h.causal ? int(place.first - at) : Tiles::kColumns;
#pragma unroll
    for (int i = 0; i < kR; i++) {
      const int seen = min(left, ahead + tiles.row(i) + 1);
#pragma unroll
      for (int j = 0; j < kC; j++) sum[i] += tiles.column(j) < seen ? exp2f(p[i][j] * (h.scale * kLog2E) - rowLse[i]) * dP[i][j] : 0.0f;
    }
    tiles.leave();
  }
  for (int i = 0; i < kR; i++) {
    const float total = rowReduce<Sum, Tiles::kRowLanes>(sum[i]);
    const int64_t query = place.first + tiles.row(i);
    if (query < h.tq && tiles.column(0) == 0) delta[place.query(h) + query] = h.slope * total;
  }
}

// delta [n, heads, tq] = scale * rowdot(dO, o): a warp for each.
template <class T>
__global__ void rowDots(Heads h, const T* o, const T* dO, float* delta) {
  waitForPrevious();
  const int64_t place = int64_t(blockIdx.x) * 8 + threadIdx.x / 32;
  if (place >= h.n * h.heads * h.tq) return;
  const int64_t sample = place / (h.heads * h.tq), head = place / h.tq % h.heads, query = place % h.tq;
  const int64_t at = (sample * h.tq + query) * h.outRow + head * h.d;
  float sum = 0;
  for (int64_t e = threadIdx.x % 32; e < h.d; e += 32) sum += toFloat(o[at + e]) * toFloat(dO[at + e]);
  sum = warpSum(sum);
  if (threadIdx.x % 32 == 0) delta[place] = h.slope * sum;
}

Heads headsOf(const FusedAttention& s) {
  const float scale = float(1 / std::sqrt(double(s.d)));
  return {s.n, s.tq, s.tk, s.heads, s.d, s.queryRow, s.keyRow, s.outRow(), scale, s.tk > 1 ? scale : 0.0f, s.causal};
}

template <class Tiles>
int splitsOf(const Heads& h) { return int(ceilDiv(h.d, Tiles::kOut)); }

template <class Tiles, class... P, class... A>
void launchTiles(Context& context, void (*kernel)(Heads, int, P...), const Heads& h, int64_t rows, int rowOperands, A... args) {
  const int splits = splitsOf<Tiles>(h);
  launchShared(context, kernel, Grid(ceilDiv(rows, Tiles::kRows) * splits, h.heads, h.n), Tiles::kThreads, Tiles::sharedBytes(rowOperands), h,
               splits, args...);
}

template <class Tiles, class T>
void forward(Context& context, const Heads& h, const T* q, const T* k, const T* v, T* o, float* lse) {
  launchTiles<Tiles>(context, attend<Tiles>, h, h.tq, 1, q, k, v, o, lse);
}

// delta as said above; only dq and dk take it.
template <class Tiles, class T>
void makeDelta(Context& context, const Heads& h, const GradientTensors<T>& in, const T* o, float* delta) {
  if constexpr (std::is_same_v<T, float>) {
    launch(context, rowDots<T>, ceilDiv(h.n * h.heads * h.tq, 8), 256, h, o, in.dO, delta);
  } else {
    launchShared(context, rowDeltas<Tiles>, Grid(ceilDiv(h.tq, Tiles::kRows), h.heads, h.n), Tiles::kThreads, Tiles::sharedBytes(2), h, in, delta);
  }
}

// `together`: registers suffice for dk and dv at once.
template <class Tiles, bool together, class T>
void backward(Context& context, const Heads& h, const GradientTensors<T>& in, const T* o, float* delta, T* dq, T* dk, T* dv) {
  if (dq || dk) makeDelta<Tiles>(context, h, in, o, delta);
  if (dq) launchTiles<Tiles>(context, attendBack<Tiles, true, true, false>, h, h.tq, 2, in, dq, static_cast<T*>(nullptr));
  if constexpr (together) {
    if (dk || dv) launchTiles<Tiles>(context, attendBack<Tiles, false, true, true>, h, h.tk, 2, in, dk, dv);
  } else {
    if (dk) launchTiles<Tiles>(context, attendBack<Tiles, false, true, false>, h, h.tk, 2, in, dk, static_cast<T*>(nullptr));
    if (dv) launchTiles<Tiles>(context, attendBack<Tiles, false, false, true>, h, h.tk, 1, in, static_cast<T*>(nullptr), dv);
  }
}

// Rows of a head lie on 16 bytes, and its width fits the registers.
bool onTensorCores(const Heads& h, std::initializer_list<const void*> tensors) {
  return h.d % 8 == 0 && h.d <= 160 && h.queryRow % 8 == 0 && h.keyRow % 8 == 0 && std::all_of(tensors.begin(), tensors.end(), onPack);
}

// TLORA_ATTENTION=own leaves cuDNN out: for comparing, and for tests of these kernels.
bool ownOnly() {
  const char* choice = std::getenv("TLORA_ATTENTION");
  return choice && std::strcmp(choice, "own") == 0;
}

FusedAttention shapeOf(const Call& call) {
  const Tensor &q = call.in[0], &k = call.in[1];
  const int64_t heads = int64_t(call.attr[0]);
  return {q.dtype, q.dims[0], heads, q.dims[1], k.dims[1], q.dims[2] / heads, call.attr[1] != 0};
}

void ownAttention(Context& context, const FusedAttention& shape, const void* q, const void* k, const void* v, void* o, float* lse) {
  const Heads h = headsOf(shape);
  withType(shape.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto run = [&](auto tiles) {
      forward<typename decltype(tiles)::type>(context, h, static_cast<const T*>(q), static_cast<const T*>(k), static_cast<const T*>(v),
                                              static_cast<T*>(o), lse);
    };
    if constexpr (!std::is_same_v<T, float>) {
      if (onTensorCores(h, {q, k, v, o})) {
        if (h.d <= 64) return run(Type<TensorTiles<T, 64>>{});
        return run(Type<TensorTiles<T, 160>>{});
      }
    }
    if constexpr (std::is_same_v<T, float>) {
      if (h.d <= 64) return run(Type<PlainTiles<T, 64>>{});
    }
    run(Type<PlainTiles<T, 256>>{});
  });
}

void ownAttentionVjp(Context& context, const FusedAttention& shape, const FusedAttentionGradient& t, float* delta) {
  const Heads h = headsOf(shape);
  withType(shape.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto of = [](const void* tensor) { return static_cast<const T*>(tensor); };
    const GradientTensors<T> in{of(t.q), of(t.k), of(t.v), of(t.dO), t.lse, delta};
    const T* from = of(t.o);
    T *toQ = static_cast<T*>(t.dq), *toK = static_cast<T*>(t.dk), *toV = static_cast<T*>(t.dv);
    if constexpr (!std::is_same_v<T, float>) {
      if (onTensorCores(h, {t.q, t.k, t.v, t.dO, t.dq, t.dk, t.dv})) {
        if (h.d <= 64) return backward<TensorTiles<T, 64>, true>(context, h, in, from, delta, toQ, toK, toV);
        return backward<TensorTiles<T, 160>, false>(context, h, in, from, delta, toQ, toK, toV);
      }
    }
    backward<PlainTiles<T, 64>, true>(context, h, in, from, delta, toQ, toK, toV);
  });
}

}  // namespace

void runAttention(Context& context, const FusedAttention& shape, const void* q, const void* k, const void* v, void* o, float* lse) {
  const auto own = [&] { ownAttention(context, shape, q, k, v, o, lse); };
  if (ownOnly() || !fusedAttention(context, shape, q, k, v, o, lse, own)) own();
}

void runAttentionVjp(Context& context, const FusedAttention& shape, const FusedAttentionGradient& tensors, float* delta) {
  const auto own = [&] { ownAttentionVjp(context, shape, tensors, delta); };
  // cuDNN's rounding would leave a single key gradients that are not exactly 0.
  if (ownOnly() || shape.tk == 1 || !fusedAttentionVjp(context, shape, tensors, own)) own();
}

void attention(const Call& call, Context& context) {
  runAttention(context, shapeOf(call), call.in[0].data, call.in[1].data, call.in[2].data, call.out[0].data, call.out[1].f32());
}

void attentionVjp(const Call& call, Context& context) {
  const Tensor* in = call.in;
  runAttentionVjp(context, shapeOf(call),
                  {in[0].data, in[1].data, in[2].data, in[3].data, in[4].f32(), in[5].data, call.out[0].data, call.out[1].data, call.out[2].data},
                  static_cast<float*>(call.scratch));
}

}  // namespace tlora::cuda
