// Gradients of attention (attention.cpp), from q, k, v, o, lse and dO alone: P = exp(S - lse) is computed again.
//   delta = rowdot(dO, o);   dS = P o (dO v^T - delta) / sqrt(d);   dv = P^T dO;   dk = dS^T q;   dq = dS k.
// (Dao et al. 2022, algorithm 4; sums in float32.) Five products, two fewer than separate passes for dq and for dk, dv.
//
// Keys are lanes here: S [queries, keys] = Q K^T, dV^T [d, keys] += dO^T P, dK^T += Q^T dS, dQ [queries, d] += dS K.
// S and dO v^T leave the registers as P and dS (attentionMicro.h), in panels that serve as both operands.
// Keys and queries are cut into the same number of groups. In phase f the task of key group g takes the query group
// (g + f) mod groups: no two tasks of a phase write the same part of dq, dk or dv, and every sum has one order, whatever the
// number of threads.
#include "attentionTile.h"

namespace tlora::cpu {
namespace {

using namespace attentionTile;

// Groups make tasks, but each of their pairs packs its keys once more.
constexpr int64_t kEnoughTasks = 32, kQueriesPerGroup = 512;

struct Delta {  // delta[i] = scale * rowdot(a, b) for rows of d, `stride` apart
  template <int W>
  TLORA_INLINE static void run(const float* a, const float* b, int64_t rows, int64_t stride, int64_t d, float scale,
                               float* delta) {
    for (int64_t i = 0; i < rows; i++, a += stride, b += stride) {
      Vec<W> sum = fill<W>(0);
      eachVec<W>(d, [&](int64_t e, auto part) TLORA_INLINE_LAMBDA { sum += load<W>(a + e, part) * load<W>(b + e, part); });
      delta[i] = scale * sumLanes(sum);
    }
  }
};

struct AddToRows {  // to [i, d] += from[i] for rows in panels
  template <int W>
  TLORA_INLINE static void run(const float* from, int64_t panel, int64_t rows, int64_t d, float* to, int64_t stride) {
    for (int64_t i = 0; i < rows; i++, from += kPanelLanes, to += stride) {
      eachPiece<W>(d, [&]<int L>(int64_t e, Pieces<L>, auto part) TLORA_INLINE_LAMBDA {
        const float* at = from + e / kPanelLanes * panel + e % kPanelLanes;
        store(to + e, load<L>(static_cast<const float*>(to) + e, part) + load<L>(at, part), part);
      });
    }
  }
};

struct Backward {
  Heads heads;
  int64_t keyBlock, queryTile;
  Product product;
  const float *q, *k, *v, *o, *lse, *dO;
  float *dq, *dk, *dv, *delta;

  bool wantScores() const { return dq || dk; }
  int64_t row(int64_t sample, int64_t head) const { return (sample * heads.heads + head) * heads.tq; }

  // Adds what the queries [from, to) give to the keys first .. first + count, and these keys to the queries.
  void block(void* workspace, int64_t sample, int64_t head, int64_t first, int64_t count, int64_t from, int64_t to) const {
    const int64_t d = heads.d, width = roundUp(count, kPanelLanes), rows = roundUp(d, kPanelLanes);
    const AttentionKernels& kernels = attentionKernels();
    Tiles tiles(workspace);
    float* keyLanes = tiles.take(width * d);
    float* valueLanes = wantScores() ? tiles.take(width * d) : nullptr;
    float* keyColumns = dq ? tiles.take(count * rows) : nullptr;
    float* sumK = dk ? tiles.take(roundUp(count, kLanes) * rows) : nullptr;
    float* sumV = dv ? tiles.take(roundUp(count, kLanes) * rows) : nullptr;
    float* queries = tiles.take(queryTile * d);
    float* gradients = tiles.take(queryTile * d);
    float* shift = tiles.take(queryTile);
    float* p = tiles.take(queryTile * kLanes);
    float* ds = wantScores() ? tiles.take(queryTile * width) : nullptr;
    float* spare = tiles.take(rows * kLanes);

    const int64_t at = heads.at(heads.tk, sample, head, first);
    packLanes(k + at, heads.c, count, d, keyLanes);
    if (wantScores()) packLanes(v + at, heads.c, count, d, valueLanes);
    if (dq) packPanels(rowsOf(k + at, heads.c), 0, d, 0, count, keyColumns);
    for (float* sum : {sumK, sumV})
      if (sum) std::fill(sum, sum + roundUp(count, kLanes) * rows, 0.0f);

    // Under a causal mask, earlier queries see none of these keys.
    if (heads.causal) from = std::max(from, from + (first - from) / queryTile * queryTile);
    for (int64_t i = from; i < to; i += queryTile) {
      const int64_t height = std::min(queryTile, to - i), source = heads.at(heads.tq, sample, head, i);
      const int64_t query = row(sample, head) + i;
      for (int64_t e = 0; e < height; e++) shift[e] = -lse[query + e] * kLog2E;
      copyRows(q + source, heads.c, height, d, queries);
      copyRows(dO + source, heads.c, height, d, gradients);
      const int64_t next = std::min(queryTile, to - i - height), share = (next * kLanes + width - 1) / width;
      for (int64_t lane = 0, ahead = 0; lane < width; lane += kLanes, ahead += share) {
        const int64_t lanes = std::min(kLanes, width - lane);
        for (const float* tensor : {q, dO})
          prefetchRows(tensor + source + (height + ahead) * heads.c, heads.c, std::min(share, next - ahead), d);
        const Fused probabilities{.c = p, .scale = heads.scale * kLog2E, .rowShift = shift};
        probabilities(kernels.probabilities, height, lanes, d, queries, d, keyLanes + lane * d);
        if (heads.causal) hide(p, height, lanes, first + lane - i);
        const int64_t tilePanel = height * kPanelLanes;
        if (dv) product(ALayout::columns, d, lanes, height, gradients, d, p, tilePanel, sumV + lane * rows, kLanes, true);
        if (ds == nullptr) continue;
        float* const dsLanes = ds + lane * height;
        const Fused changes{.c = dsLanes, .scale = heads.scale, .rowShift = delta + query, .probability = p};
        changes(kernels.gradients, height, lanes, d, gradients, d, valueLanes + lane * d);
        if (dk) product(ALayout::columns, d, lanes, height, queries, d, dsLanes, tilePanel, sumK + lane * rows, kLanes, true);
      }
      if (dq) addRows(height, d, count, ds, keyColumns, dq + source, heads.c);
    }
    for (const auto& [sum, gradient] : {std::pair{sumK, dk}, {sumV, dv}}) {
      if (gradient == nullptr) continue;
      eachRows(sum, count, d, spare, [&](int64_t j, int64_t some, const float* values, int64_t panel) {
        simd<AddToRows>(values, panel, some, d, gradient + at + j * heads.c, heads.c);
      });
    }
  }

  // Lane j is seen by query i from i = diagonal + j on.
  static void hide(float* p, int64_t queries, int64_t lanes, int64_t diagonal) {
    for (int64_t j = 0; j < lanes; j++) {
      float* lane = p + j / kPanelLanes * queries * kPanelLanes + j % kPanelLanes;
      for (int64_t i = 0; i < std::min(queries, diagonal + j); i++) lane[i * kPanelLanes] = 0;
    }
  }

  // -delta / sqrt(d), and zeros where gradients will be summed: one task a sample and head.
  void prepare(int64_t sample, int64_t head) const {
    const auto clear = [&](float* gradient, int64_t t) {
      if (gradient == nullptr) return;
      for (int64_t i = 0; i < t; i++) std::memset(gradient + heads.at(t, sample, head, i), 0, sizeof(float) * heads.d);
    };
    clear(dq, heads.tq);
    clear(dk, heads.tk);
    clear(dv, heads.tk);
    const int64_t at = heads.at(heads.tq, sample, head, 0);
    if (wantScores()) simd<Delta>(dO + at, o + at, heads.tq, heads.c, heads.d, -heads.scale, delta + row(sample, head));
  }
};

}  // namespace

void attentionVjp(const Call& call, Context& context) {
  const Heads h = headsOf(call);
  const int64_t pairs = h.n * h.heads;
  const int64_t keyBlock = tileSize(h.d, 16384, kLanes, 256), queryTile = tileSize(h.d, 16384, 14, 112);
  const Backward backward{h, keyBlock, queryTile, {microKernels()}, call.in[0].f32(), call.in[1].f32(), call.in[2].f32(),
                          call.in[3].f32(), call.in[4].f32(), call.in[5].f32(), call.out[0].f32(), call.out[1].f32(),
                          call.out[2].f32(), static_cast<float*>(call.scratch)};
  context.pool.run(pairs, [&](int64_t pair, int) { backward.prepare(pair / h.heads, pair % h.heads); });
  Backward sums = backward;
  if (h.tk == 1) sums.dq = sums.dk = nullptr;  // its probability is 1 whatever it is: these gradients stay exactly 0

  const int64_t keyBlocks = (h.tk + keyBlock - 1) / keyBlock, queryTiles = (h.tq + queryTile - 1) / queryTile;
  const int64_t groups =
      std::min({keyBlocks, std::max<int64_t>(1, h.tq / kQueriesPerGroup), (kEnoughTasks + pairs - 1) / pairs});
  const auto border = [groups](int64_t group, int64_t count, int64_t size, int64_t end) {
    return std::min(end, group * count / groups * size);
  };
  for (int64_t phase = 0; phase < groups; phase++) {
    context.pool.run(pairs * groups, [&](int64_t task, int thread) {
      const int64_t group = task % groups, partner = (group + phase) % groups;
      const int64_t head = task / groups % h.heads, sample = task / groups / h.heads;
      const int64_t from = border(partner, queryTiles, queryTile, h.tq), to = border(partner + 1, queryTiles, queryTile, h.tq);
      const int64_t end = border(group + 1, keyBlocks, keyBlock, h.tk);
      for (int64_t j = border(group, keyBlocks, keyBlock, h.tk); j < end; j += keyBlock)
        sums.block(context.workspace(thread), sample, head, j, std::min(keyBlock, end - j), from, to);
    });
  }
}

}  // namespace tlora::cpu
