// o = softmax(q k^T / sqrt(d)) v for each head, and lse = log(sum(exp(scores))). Float32. q, o [n, tq, c], k, v [n, tk, c],
// lse [n, heads, tq]; head h has channels h * d .. (h + 1) * d.
//
// Blocks of queries are the tasks; each walks over tiles of keys with a running maximum m, sum l and unscaled output
// (online softmax: Milakov and Gimelshein 2018; Dao et al. 2022). Only 32 queries x one tile of keys exist as scores, and these
// only in the first tile, under a mask, and where the maximum must follow; otherwise they leave the registers as probabilities.
// Queries are lanes: scores are S^T [keys, queries] = K Q^T and the output O^T [d, queries] += V^T P^T. Scores carry log2(e),
// so that probabilities are powers of two.
#include "attentionTile.h"

namespace tlora::cpu {
namespace {

using namespace attentionTile;

constexpr int64_t kKeyTile = 128;

constexpr float kGrowth = 8;  // a maximum follows the scores where 2^score would be more than 2^kGrowth of it

// The state of kLanes of a block's queries, and one tile of keys.
struct Lanes {
  float* scores;  // [keys, kLanes]
  float* p;       // panels [keys][16]
  float* output;  // [d, kLanes]
  float *most, *sum;
  float scale;
};

// Scores to probabilities against the running maximum of their logarithms; the sum and the output follow a new maximum.
// With a causal mask lane i sees key j up to `diagonal` + i. Each lane gets the same bits as from StoreWeights where it may.
struct Softmax {
  template <int W>
  TLORA_INLINE static void run(const Lanes* lanes, int64_t keys, int64_t width, int64_t d, bool masked, int64_t diagonal) {
    const Vec<W> scale = broadcast<W>(&lanes->scale);
    for (int64_t lane = 0; lane < width; lane += W) {
      float* s = lanes->scores + lane;
      if (masked) {
        for (int64_t j = 0; j < keys; j++)
          for (int64_t i = 0; i < W; i++)
            if (j > diagonal + lane + i) s[j * kLanes + i] = -INFINITY;
      }
      Vec<W> top = fill<W>(-INFINITY);
      for (int64_t j = 0; j < keys; j++) top = maxOf(load<W>(s + j * kLanes), top);
      const Vec<W> before = load<W>(lanes->most + lane);
      const Vec<W> most = fma(top, scale, -before) > kGrowth ? top * scale : before;
      float* p = lanes->p + (lane / kPanelLanes) * keys * kPanelLanes + lane % kPanelLanes;
      Vec<W> sum = fill<W>(0);
      for (int64_t j = 0; j < keys; j++) {
        const Vec<W> score = load<W>(s + j * kLanes);
        Vec<W> v = exp2Negative(fma(score, scale, -most));
        if (masked) v = score == -INFINITY ? Vec<W>{} : v;
        sum += v;
        store(p + j * kPanelLanes, v);
      }
      const Vec<W> change = exp2Negative(before - most);
      store(lanes->sum + lane, load<W>(lanes->sum + lane) * change + sum);
      store(lanes->most + lane, most);
      float* output = lanes->output + lane;
      for (int64_t e = 0; e < d; e++) store(output + e * kLanes, load<W>(output + e * kLanes) * change);
    }
  }
};

struct ScaleRows {  // to [i, d] = from[i] / sum[i] for rows in panels
  template <int W>
  TLORA_INLINE static void run(const float* from, int64_t panel, const float* sum, int64_t rows, int64_t d, float* to,
                               int64_t stride) {
    for (int64_t i = 0; i < rows; i++, from += kPanelLanes, to += stride) {
      const float factor = 1 / sum[i];
      eachPiece<W>(d, [&]<int L>(int64_t e, Pieces<L>, auto part) TLORA_INLINE_LAMBDA {
        store(to + e, load<L>(from + e / kPanelLanes * panel + e % kPanelLanes, part) * factor, part);
      });
    }
  }
};

struct Forward {
  Heads heads;
  int64_t keyTile;
  Product product;
  const float *q, *k, *v;
  float *o, *lse;

  // Probabilities of a tile against the maximum so far, unless it must grow.
  bool weights(const Lanes& state, int64_t height, int64_t lanes, const float* keys, const float* queries) const {
    float sum[kLanes] = {}, most[kLanes];
    std::fill(most, most + kLanes, -INFINITY);
    const Fused fused{.c = state.p, .scale = state.scale, .laneShift = state.most, .laneSum = sum, .laneMost = most};
    fused(attentionKernels().weights, height, lanes, heads.d, keys, heads.d, queries);
    for (int64_t i = 0; i < lanes; i++)
      if (most[i] > kGrowth) return false;
    for (int64_t i = 0; i < lanes; i++) state.sum[i] += sum[i];
    return true;
  }

  // Queries first .. first + count of one head.
  void block(void* workspace, int64_t sample, int64_t head, int64_t first, int64_t count) const {
    const int64_t d = heads.d, width = roundUp(count, kPanelLanes), rows = roundUp(d, kPanelLanes);
    Tiles tiles(workspace);
    float* queries = tiles.take(width * d);
    float* output = tiles.take(roundUp(width, kLanes) * rows);
    float* most = tiles.take(width);
    float* sum = tiles.take(width);
    float* keys = tiles.take(keyTile * d);
    float* values = tiles.take(keyTile * d);
    float* scores = tiles.take(keyTile * kLanes);
    float* p = tiles.take(keyTile * kLanes);
    float* spare = tiles.take(rows * kLanes);
    packLanes(q + heads.at(heads.tq, sample, head, first), heads.c, count, d, queries);
    std::fill(most, most + width, -INFINITY);
    std::fill(sum, sum + width, 0.0f);

    const int64_t end = heads.causal ? std::min(heads.tk, first + count) : heads.tk;
    for (int64_t j = 0; j < end; j += keyTile) {
      const int64_t height = std::min(keyTile, end - j);
      copyRows(k + heads.at(heads.tk, sample, head, j), heads.c, height, d, keys);
      copyRows(v + heads.at(heads.tk, sample, head, j), heads.c, height, d, values);
      const int64_t next = std::min(keyTile, end - j - height), share = (next * kLanes + width - 1) / width;
      for (int64_t lane = 0, ahead = 0; lane < width; lane += kLanes, ahead += share) {
        const int64_t lanes = std::min(kLanes, width - lane), diagonal = first + lane - j;
        for (const float* from : {k, v})
          prefetchRows(from + heads.at(heads.tk, sample, head, j + height + ahead), heads.c,
                       std::min(share, next - ahead), d);
        if (heads.causal && diagonal + lanes <= 0) continue;
        const bool masked = heads.causal && diagonal < height;
        const Lanes state{scores, p, output + lane * rows, most + lane, sum + lane, heads.scale * kLog2E};
        if (j == 0 || masked || !weights(state, height, lanes, keys, queries + lane * d)) {
          product(ALayout::rows, height, lanes, d, keys, d, queries + lane * d, d * kPanelLanes, scores, kLanes, false);
          simd<Softmax>(&state, height, lanes, j == 0 ? 0 : d, masked, diagonal);
        }
        product(ALayout::columns, d, lanes, height, values, d, p, height * kPanelLanes, state.output, kLanes, j > 0);
      }
    }
    float* results = o + heads.at(heads.tq, sample, head, first);
    eachRows(output, count, d, spare, [&](int64_t i, int64_t some, const float* values, int64_t panel) {
      simd<ScaleRows>(values, panel, static_cast<const float*>(sum + i), some, d, results + i * heads.c, heads.c);
    });
    if (lse == nullptr) return;
    float* ends = lse + (sample * heads.heads + head) * heads.tq + first;
    for (int64_t i = 0; i < count; i++) ends[i] = (most[i] + std::log2(sum[i])) / kLog2E;
  }
};

}  // namespace

// What a query gets does not depend on the others in its block, so blocks may be smaller where there are many threads.
void attention(const Call& call, Context& context) {
  const Heads h = headsOf(call);
  const int64_t keyTile = tileSize(h.d, 32768, 16, kKeyTile), pairs = h.n * h.heads;
  int64_t queryBlock = tileSize(h.d, 65536, kLanes, 512);
  const auto blocksOf = [&] { return (h.tq + queryBlock - 1) / queryBlock; };
  while (queryBlock > 2 * kLanes && pairs * blocksOf() < 4 * context.pool.threads())
    queryBlock = roundUp(queryBlock / 2, kLanes);

  const float *q = call.in[0].f32(), *k = call.in[1].f32(), *v = call.in[2].f32();
  const Forward forward{h, keyTile, {microKernels()}, q, k, v, call.out[0].f32(), call.out[1].f32()};
  const int64_t blocks = blocksOf();
  context.pool.run(pairs * blocks, [&](int64_t task, int thread) {
    const int64_t first = task % blocks * queryBlock, head = task / blocks % h.heads, sample = task / blocks / h.heads;
    forward.block(context.workspace(thread), sample, head, first, std::min(queryBlock, h.tq - first));
  });
}

}  // namespace tlora::cpu
